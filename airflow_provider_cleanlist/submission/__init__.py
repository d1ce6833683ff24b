"""Contacts become accepted batches, each paid once.

:mod:`.job` is the order of things, :mod:`.journal` the record that keeps anybody from paying twice.
"""
