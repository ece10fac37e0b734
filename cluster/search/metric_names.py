"""What a trial's worker tells the driver: the keys of the metrics that Tune carries between them.

A worker makes three kinds of report: a tick, about once a second, with the fields of
`trial.Progress`; one at the end of each round, with what is known then; and the last one, with the
whole result. Only those that end a round are shown to a scheduler.
"""

RESULT = "trial_result"
"""In the last report: the TrialResult as JSON text, which Tune carries without looking into it."""
SO_FAR = "trial_so_far"
"""In a report that ends a round: the TrialResult of a trial that is stopped here."""
ROUND = "round"
"""Number of the last finished round."""
ACCURACY = "dev_accuracy"
"""Of the best prompt of that round; None where nothing could be measured."""
