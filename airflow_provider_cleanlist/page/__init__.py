"""The page *Browse > Cleanlist* of Airflow 3.1 and later: what was spent and found, and what is under way.

The plugin in ``webhooks`` adds it to Airflow's API server, :mod:`.app` serves it to those who may read DAGs,
:mod:`.database` and :mod:`.queries` read the ledger, :mod:`.balance` and :mod:`.budget` what is known of credits and
requests, :mod:`.figures` holds the numbers and what follows from them, :mod:`.html`, :mod:`.plots` and :mod:`.tables`
show them, and :mod:`.notices` stands in for them.
"""
