"""Airflow operators of Cleanlist."""
