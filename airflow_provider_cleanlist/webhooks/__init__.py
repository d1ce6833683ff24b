"""Receiving results by webhook: addresses that only we can make, a receiver, and what it stores."""
