"""Early stopping of a search over behaviour.

The search ends when neither the accuracy nor the adherence of the best prompt rises any more.
"""

from optimizer.candidate import Round

LEAST_MOVE = 0.01
"""Smallest rise of adherence that counts [ours]."""


class EarlyStopping:
    """Watches the best prompt's dev accuracy and adherence, round by round."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._accuracy = self._adherence = -1.0
        self._still = -1

    def reached(self, latest: Round) -> bool:
        """Add the round; return whether neither value has risen for `patience` rounds."""
        accuracy, adherence = latest.best.accuracy or 0.0, latest.best.adherence or 0.0
        moved = accuracy > self._accuracy or adherence >= self._adherence + LEAST_MOVE
        self._still = 0 if moved else self._still + 1
        self._accuracy, self._adherence = (
            max(accuracy, self._accuracy),
            max(adherence, self._adherence),
        )
        return self._still >= self._patience
