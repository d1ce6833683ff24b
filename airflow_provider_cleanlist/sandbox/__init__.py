"""A local stand-in for the Cleanlist API, for demonstrations, tests and continuous integration.

It answers over HTTP on loopback, keeps everything in memory, makes up what it finds (always the same for the same
contact), and records every request and every credit charged. It shares no code with the client and imports no
Airflow. See ``docs/sandbox.md``.

From top to bottom; imports only run downwards:

* ``__main__`` and ``pytest_plugin`` start a sandbox, ``server`` runs it on a socket, ``app`` puts it together.
* ``routes`` holds the endpoints, ``web`` what every request and response goes through.
* ``state`` is the Cleanlist behind them: accounts, lists, workflows, webhooks. It knows no HTTP.
* ``settings``, ``faults``, ``ledger``, ``people`` and ``clock`` are what tests work with, and depend on nothing.
"""
