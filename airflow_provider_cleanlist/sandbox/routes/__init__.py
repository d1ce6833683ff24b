"""The endpoints of the API, and those of the sandbox's own admin side."""
