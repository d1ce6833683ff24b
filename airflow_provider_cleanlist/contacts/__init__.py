"""A source becomes contacts: reading, mapping of columns, cleaning, identity. Knows nothing of Airflow.

:func:`.sources.open_source` opens whatever the user has (memory, file, query); :func:`.reading.read_contacts` yields
its rows as accepted contacts or refused rows.
"""
