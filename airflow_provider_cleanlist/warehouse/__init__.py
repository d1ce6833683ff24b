"""Exact, resumable loading of paged records into any SQL warehouse.

Pages are staged (``staging``), then published in one transaction (``publish``); ``loader.load`` runs both.
What to do is decided by plain functions (``naming``, ``plan``, ``values``); what differs between databases is
in ``dialects`` and ``bulk``. Nothing here knows of Airflow or of the Cleanlist client.
"""
