"""Airflow triggers of Cleanlist."""
