"""Scores of every prompt that a search ever measured, for strategies that look back several rounds.

A selection rule measures a hopeless candidate on a few dev items, and its accuracy on those may be
luck. So: of a candidate's standings the one with the most items counts, and one that was not kept
scores no more than the worst that was kept beside it, since the rule has found it to be no better
[ours]. Knows standings only.
"""

from collections.abc import Iterable

from optimizer.candidate import Standing


class Scores:
    """The dev accuracies of one search's candidates, by their ids."""

    def __init__(self) -> None:
        self._standing_by_id: dict[str, Standing] = {}
        self._score_by_id: dict[str, float] = {}

    def note(self, standings: Iterable[Standing]) -> None:
        """Record one selection; a candidate of which nothing could be measured gets no score."""
        measured = [
            (standing, standing.accuracy) for standing in standings if standing.accuracy is not None
        ]
        worst_kept = min(
            (accuracy for standing, accuracy in measured if standing.kept), default=1.0
        )
        for standing, accuracy in measured:
            known = self._standing_by_id.get(standing.candidate.id)
            if known is None or standing.items >= known.items:
                self._standing_by_id[standing.candidate.id] = standing
                # Accuracy on few items may be luck: a dropped candidate cannot beat one kept beside
                # it.
                self._score_by_id[standing.candidate.id] = (
                    accuracy if standing.kept else min(accuracy, worst_kept)
                )

    def score(self, id: str) -> float | None:
        """Return the score from 0.0 to 1.0; None where nothing was measured."""
        return self._score_by_id.get(id)

    def standing(self, id: str) -> Standing | None:
        """Return the standing with the most items, of equals the last one.

        It is None where nothing was measured.
        """
        return self._standing_by_id.get(id)
