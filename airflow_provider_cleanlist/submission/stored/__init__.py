"""The journal of one task instance without a ledger: JSON records in Airflow's task state store or a directory.

:mod:`.journal` keeps it, :mod:`.index` tells what its records say about each contact, and :mod:`.stores` are the places
where records live.
"""
