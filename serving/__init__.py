"""Models: engines on Ray Serve, the gateway, clients, the completion ledger, budgets and limits."""
