"""Readers of file formats and of queries: bytes or a cursor in, rows out, in bounded memory."""
