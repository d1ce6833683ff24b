"""Apache Airflow provider for Cleanlist."""

__version__ = "0.1.0"
