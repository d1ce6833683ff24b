"""A source becomes contacts: reading, mapping of columns, cleaning, identity.

:func:`.sources.open_source` opens whatever the user has (memory, file, query); :func:`.reading.read_contacts` yields
its rows as accepted contacts or refused rows. Airflow is needed only for the connection of a query and for object
storage.
"""
