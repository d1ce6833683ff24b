"""The trigger of deferred tasks that wait for workflows, and what all its instances in a triggerer share."""
