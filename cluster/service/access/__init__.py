"""Who may use the service, and how much: API keys, admission of requests, quotas and budgets."""
