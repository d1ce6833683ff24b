"""What webhooks delivered: files that the receiver writes, and that waits and the reader of results read.

:class:`.inbox.Inbox` is the directory, :mod:`.listing` detects new deliveries, :mod:`.tokens` signs and verifies the
secret part of a webhook address, and :mod:`.settings` reads the receiver's configuration.
"""
