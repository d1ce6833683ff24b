"""Results become records: read from webhooks, from workflow statuses or task by task, whichever is cheapest.

:class:`.reader.ResultReader` yields pages of the flat records that :func:`.rows.result_row` makes.
"""
