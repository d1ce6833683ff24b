"""Paying once: contacts, sources, journal, submission, polling."""
