"""The keys of the metrics that Ray Tune carries from a trial's worker to the driver.

A worker makes three kinds of report: a tick, about once a second, with the fields of
`trial.Progress`; one at the end of each round, with what is known then; and the last one, with the
whole result. Only those that end a round are shown to a scheduler.
"""

RESULT = "trial_result"
"""In the last report: the TrialResult as JSON text, which Tune passes on unread."""
ITEMS = "trial_items"
"""Beside RESULT, where the trial was tested: the file of its items as text (cluster.results.items).
"""
SO_FAR = "trial_so_far"
"""In a report that ends a round: the TrialResult of a trial that is stopped here."""
ROUND = "round"
"""Number of the last finished round."""
ACCURACY = "dev_accuracy"
"""Dev accuracy of the best prompt of that round; None where nothing could be measured."""
