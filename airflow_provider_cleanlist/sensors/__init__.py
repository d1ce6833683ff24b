"""Airflow sensors of Cleanlist."""
