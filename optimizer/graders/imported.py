"""A scorer that comes from elsewhere, held to the contract of those in the table."""

from dataclasses import dataclass

from optimizer.errors import DataError, PromptrayError, shortened
from optimizer.prompt import ANSWER_LABEL
from optimizer.protocols import Grader, Scorer
from optimizer.registry import Unfit
from optimizer.types import Completion, Example, Score


@dataclass(frozen=True)
class ImportedGrader:
    """A function `(response, example) -> Score`, with what the table's own scorers say beside."""

    name: str
    grade: Scorer
    accepts: str
    answer_line: str

    def __call__(self, response: Completion, example: Example) -> Score:
        """Return the score that the function gives.

        Raises:
            DataError: It raises, or gives something else. A fault of the code is no verdict on a
                response: the trial fails with this sentence.
        """
        try:
            score = self.grade(response, example)
        except PromptrayError:
            raise
        except Exception as problem:  # whatever code of others raises
            raise DataError(
                f"The scorer {self.name} fails on example {shortened(example.id)} "
                f"({shortened(f'{type(problem).__name__}: {problem}')}); it must give a Score for "
                "every response."
            ) from problem
        if not isinstance(score, Score):
            raise DataError(
                f"The scorer {self.name} gives {shortened(repr(score))} for example "
                f"{shortened(example.id)}; it must give an optimizer.types.Score."
            )
        return score

    def is_right(self, answer: str, example: Example) -> bool:
        """Say whether the answer alone, on an answer line, is accepted."""
        return self(Completion(f"{ANSWER_LABEL} {answer}"), example).verdict == "right"

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Say never: what form a function asks for is not known."""
        return False


def as_grader(name: str, found: object) -> Grader:
    """Return what was found under a name as a grader; an object of a class without arguments.

    It may have a text `accepts`, for people, and a text `answer_line`, for prompts.

    Raises:
        Unfit: It cannot be called.
    """
    grade = found() if isinstance(found, type) else found
    if not callable(grade):
        raise Unfit("it cannot be called with (response, example)")
    lines = (getattr(grade, "__doc__", None) or "").strip().splitlines()
    accepts = getattr(grade, "accepts", "") or (lines[0] if lines else "")
    answer_line = getattr(grade, "answer_line", "")
    return ImportedGrader(name, grade, str(accepts).rstrip("."), str(answer_line))
