"""Waiting for workflows: when to check their status, and what the outcome means for the task.

:func:`.wait.watch` is a wait without I/O; :func:`.wait.wait` drives it in a worker, and the trigger on an event loop.
:mod:`.tracker` holds its state and follows the rule of :mod:`.schedule`, :mod:`.deliveries` detects webhooks in the
meantime, and :mod:`.outcome` turns the end into a result or an error.
"""
