"""Contacts become accepted batches, each paid once.

:mod:`.submit` is the order of things, :mod:`.journal` the record that keeps anybody from paying twice: in JSON records
(:mod:`.stored`) or in the organisation's database (:mod:`.ledger`).
"""
