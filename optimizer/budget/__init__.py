"""Budgets: limits of calls, tokens and money, reserved before a call and settled after it."""
