"""The receiver of webhooks: a plugin of Airflow's API server, or a process of its own. It stores into the inbox."""
