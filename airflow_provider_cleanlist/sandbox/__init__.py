"""A local Cleanlist for demonstrations, tests and continuous integration.

It follows the API contract (shared document ``cleanlist-api.md``) over HTTP on loopback, holds everything in
memory, invents every answer deterministically and records what it was asked and what it charged. It shares no
code with the client and imports no Airflow. See ``docs/sandbox.md``.
"""
