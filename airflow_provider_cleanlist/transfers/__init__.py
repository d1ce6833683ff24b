"""Operators that load lead lists and enrichment results into warehouse tables; :mod:`.base` holds what they share."""
