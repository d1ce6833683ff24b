"""Workflows come to their end: when to ask for their status, and what the end means for the task.

:func:`.wait.watch` is the wait itself, without I/O; :func:`.wait.wait` drives it in a worker, and the trigger on an
event loop.
"""
