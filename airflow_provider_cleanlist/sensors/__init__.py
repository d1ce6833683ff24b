"""The sensor that waits for workflows."""
