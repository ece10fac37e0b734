"""What the service shows of a job's results: readers of a results folder that change nothing.

No model is called.

results.py      the folder's files, parsed once
trials.py       trials, their learning curves, and the best prompt
candidates.py   candidates with their lineage
items.py        a job's examples and the answers that its ledger has recorded
comparison.py   two candidates item by item
settings.py     an experiment's settings without what is the operator's
exports.py      the best prompt for other tools
json_text.py    texts and diffs as JSON carries them
"""
