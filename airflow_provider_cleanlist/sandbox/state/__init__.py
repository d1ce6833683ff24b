"""The Cleanlist behind the endpoints, in memory: accounts, lists, workflows, webhooks and the rate limit. No HTTP."""
