"""What webhooks delivered: the files that the receiver writes and that waiting and results read.

:class:`.inbox.Inbox` is the directory, :mod:`.listing` notices what is new in it, :mod:`.tokens` makes and checks the
secret part of a webhook's address.
"""
