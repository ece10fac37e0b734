"""Contracts between clients and the gateway: refusals and streams."""
