"""The control arm of a final test: the baseline with the one line that says how to end an answer.

Without it a search is credited with form: a target that is right about every item, but is not
parsed without an `Answer:` line, gains all of its accuracy by that line. Whether a trial needs the
control is decided by what its search has seen, before any test answer is known; its requests are
the same in every trial of one task and seed, so that they are paid once.
"""

from collections.abc import Sequence
from typing import Literal

from optimizer.grader import Grader
from optimizer.graders.graders import with_answer_line
from optimizer.prompt import Prompt
from optimizer.types import Answer, Completion

FormControlState = Literal[
    "", "measured", "off", "line in baseline", "best is baseline", "not needed", "no budget"
]
"""Why there is a control arm or none.

- "": no final test, or a result of an older version.
- "measured": there is one.
- "off": by the settings.
- "line in baseline": the baseline says how to end an answer itself.
- "best is baseline": nothing was gained.
- "not needed": every wrong answer of the baseline that the search saw has the form that the line
  asks for, so that the line asks nothing new.
- "no budget": the trial's or the experiment's budget was too small for it.
"""


class FormControl:
    """Decides whether one trial needs the control arm. For one event loop."""

    def __init__(self, wanted: bool, baseline: Prompt, grader: Grader) -> None:
        self._wanted = wanted
        self._baseline = baseline
        self._grader = grader
        self.prompt = with_answer_line(baseline, grader)
        """The prompt that is measured; None where the baseline says how to end already."""
        self._seen = False
        self._at_fault = False

    def look(self, prompt: Prompt, answers: Sequence[Answer]) -> bool:
        """Look at answers that the search got under a prompt.

        Returns:
            Whether these answers are the first to show that a control is needed.
        """
        if not self._wanted or self.prompt is None or prompt != self._baseline or self._at_fault:
            return False
        judged = [
            answer for answer in answers if answer.score.verdict not in ("missing", "refused")
        ]
        self._seen = self._seen or bool(judged)
        self._at_fault = any(
            self._grader.form_is_at_fault(
                Completion(answer.text, answer.score.verdict == "truncated"), answer.example
            )
            for answer in judged
        )
        return self._at_fault

    def state(self, best: Prompt) -> FormControlState:
        """Return why the test has no control arm; "measured" where it is to have one."""
        if not self._wanted:
            return "off"
        if best == self._baseline:
            return "best is baseline"
        if not self._grader.answer_line:
            return "not needed"
        if self.prompt is None:
            return "line in baseline"
        return "not needed" if self._seen and not self._at_fault else "measured"
