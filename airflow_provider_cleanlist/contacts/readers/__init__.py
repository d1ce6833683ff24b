"""Readers of file formats: bytes in, rows out, in bounded memory."""
