"""The Cleanlist API without Airflow: protocol, models, errors, request budget, client."""
