"""One trial: its plan, its budget, its search, its final test and its result."""
