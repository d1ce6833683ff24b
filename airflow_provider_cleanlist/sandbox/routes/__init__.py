"""The endpoints of the API, one module per subject, and the sandbox's own admin endpoints."""
