"""The budget of a whole experiment: what all its trials together may pay, and their time.

One actor reserves out of it, and paid_model.py is the guard that stands between a model and it. A
reservation is recorded in a file before any call is sent, at the most that it can cost, and time
before it has passed: so the limits hold whatever is killed, and an experiment that is continued
goes on with what is left.
"""

from serving.budget.actor import BudgetClient, TrialBudgetClient, open_budget
from serving.budget.record import FILE, Elapsed
from serving.budget.store import BudgetStore

__all__ = ["FILE", "BudgetClient", "BudgetStore", "Elapsed", "TrialBudgetClient", "open_budget"]
