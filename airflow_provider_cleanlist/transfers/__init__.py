"""Airflow transfers out of Cleanlist."""
