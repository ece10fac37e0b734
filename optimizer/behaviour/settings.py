"""Settings that all searches over behaviour share; independent of any search."""

from dataclasses import dataclass

from optimizer.validators import at_least


@dataclass(frozen=True, kw_only=True)
class BehaviourSettings:
    """Settings of how prompts are made of steps, demonstrated, inspected and refined.

    What it shares with APO has APO's values, so that the two differ only in what they propose
    [ours].

    Raises:
        SettingsError: For a value out of range.
    """

    rounds: int = 2
    """Rounds after round 0 (Ma et al., arXiv 2402.02101, report steps 0, 1 and 2)."""
    beam: int = 4
    """Prompts kept of a round (APO's main.py: 4)."""
    minibatch: int = 64
    """Training examples that all prompts of a round are tried on, for their errors (APO's main.py:
    64).
    """
    decompositions: int = 4
    """Plans that compete in round 0, beside the baseline [ours]."""
    solved_examples: int = 4
    """Training examples with gold answers that a decomposition is shown [ours]."""
    demonstrations: int = 2
    """Demonstrations in a prompt (the paper shows them without stating their number) [ours]."""
    demonstration_attempts: int = 2
    """Training examples tried for one demonstration, each requested at most twice, before the
    prompt goes without it [ours].
    """
    localised_errors: int = 8
    """Errors of one prompt that vote on its failing step [ours]."""
    cases: int = 2
    """Errors shown to the refiner and to a new decomposition [ours]."""
    patience: int = 2
    """Rounds in which neither dev accuracy nor adherence of the best prompt may move before the
    search ends [ours].
    """
    opening: str = "Follow these steps:"
    """Text before the steps of a prompt [ours]."""
    closing: str = (
        "Write the result of each step on a line of its own, as 'Step 1: ...'. End with 'Answer: ' "
        "and the answer."
    )
    """Text after the steps: the form in which a response is read back, step by step [ours]."""
    temperature: float = 0.7
    """Temperature of the optimizer model (APO's main.py: 0.7)."""
    max_tokens: int = 1024
    """Maximum tokens of a reply of the optimizer model (APO's main.py: 1024)."""

    def __post_init__(self) -> None:
        at_least(
            0,
            rounds=self.rounds,
            decompositions=self.decompositions,
            demonstrations=self.demonstrations,
            cases=self.cases,
            temperature=self.temperature,
        )
        at_least(
            1,
            beam=self.beam,
            minibatch=self.minibatch,
            solved_examples=self.solved_examples,
            demonstration_attempts=self.demonstration_attempts,
            localised_errors=self.localised_errors,
            patience=self.patience,
            max_tokens=self.max_tokens,
        )
