"""The journal of one task instance without a ledger: JSON records in Airflow's task state store or a directory.

:mod:`.journal` keeps it and tells what its records say about each contact, :mod:`.stores` put the records where they
live, and :mod:`.places` know where the earlier attempts of a task had theirs, a ledger included.
"""
