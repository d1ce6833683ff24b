"""Airflow hook of Cleanlist."""
