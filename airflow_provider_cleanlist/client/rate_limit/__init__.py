"""The request budget of an organisation, shared by everybody who uses it.

`core` holds the rules as pure functions of state, time and request, and the interface that all stores share;
`memory`, `file` and `redis` keep the state for one process, one host and many hosts; `stores` picks one of them from
the connection's setting (:func:`.stores.open_limiter`).
"""
