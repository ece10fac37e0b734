"""Limits of concurrent calls: gates, AIMD, fair shares, retries, hedging, the circuit breaker."""
