"""What the service says of a job's results, read from its results folder: pure readers that change
nothing and ask no model.

results.py      the folder's files, parsed once
trials.py       trials, their learning curves, and the best prompt
candidates.py   candidates with their lineage
items.py        a job's examples and the answers that its ledger has recorded
comparison.py   two candidates item by item
exports.py      the best prompt for other tools
"""
