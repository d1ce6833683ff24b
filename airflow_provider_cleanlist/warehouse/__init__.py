"""Exact, resumable loading of paged records into any SQL warehouse.

``loader.load`` reads pages into a staging table (``reading``, ``staging``) and publishes them in one transaction
(``publication``, ``publish``). Plain functions decide what to do (``naming``, ``plan``, ``values``); everything that
differs between databases is in ``dialects``. Nothing here knows Airflow or the Cleanlist client.
"""
