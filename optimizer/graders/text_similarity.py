"""Text similarity: how close a text is to a target, by a metric of a well-known library.

ROUGE is that of `rouge-score`, BLEU and chrF those of `sacrebleu`, fuzzy matching that of
`rapidfuzz`; they come with the extra `text`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, get_args

from optimizer.errors import SettingsError, shortened
from optimizer.graders.base import PureGrader, said, said_last
from optimizer.graders.judging.template import DataTemplate, ItemData
from optimizer.types import Completion, Example, Score, graded
from optimizer.validators import at_least, at_most, one_of

Metric = Literal[
    "rouge_l", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "bleu", "chrf", "fuzzy"
]
METRICS: tuple[str, ...] = get_args(Metric)
COMPARED_CHARS = 8_000
"""Maximum number of characters compared, from the end of a response and the start of a target:
ROUGE-L takes time with the product of the lengths [ours].
"""
_NAMES: dict[str, str] = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "fuzzy": "fuzzy matching",
}


@dataclass(frozen=True)
class TextSimilarity(PureGrader):
    """Scores the text behind an `Answer:` line, or the whole response.

    With templates `input` and `reference` it compares what these make instead.
    """

    metric: Metric = "rouge_l"
    pass_threshold: float | None = None
    """With it a text is right if it reaches this similarity, and else wrong; None gives the
    similarity itself as the score.
    """
    input: str = ""
    """A template such as `{{ sample.output_json.summary }}`."""
    reference: str = ""
    """A template such as `{{ item.summary }}`; "" compares with the targets."""
    slow: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of(METRICS, metric=self.metric)
        if self.pass_threshold is not None:
            at_least(0, pass_threshold=self.pass_threshold)
            at_most(1, pass_threshold=self.pass_threshold)
        for text in (self.input, self.reference):
            DataTemplate(text)
        _measure(self.metric)

    @property
    def accepts(self) -> str:  # type: ignore[override]
        """Return which answer is right."""
        name = _NAMES.get(self.metric, self.metric.upper().replace("_", "-"))
        return f"a text like a target; the score is the similarity by {name}"

    def score(self, response: Completion, example: Example) -> Score:
        """Return the similarity to the target that is most like the response."""
        data = ItemData(example, said(response))
        text = DataTemplate(self.input).filled(data) if self.input else said_last(response)
        text, targets = text[-COMPARED_CHARS:], example.answers
        if self.reference:
            targets = (DataTemplate(self.reference).filled(data),)
        if not text.strip():
            return Score("truncated" if response.truncated else "unparsable")
        value = max((self.similarity(text, target) for target in targets), default=0.0)
        feedback = "" if value == 1.0 else f"{value:.2f} of 1 like the target by {self.metric}."
        if self.pass_threshold is not None:
            value = float(value >= self.pass_threshold)
        return graded(value, shortened(text, 500), feedback)

    def fault_of(self, example: Example) -> str:
        """Return why an example cannot be graded; "" where it can."""
        return "" if self.reference else super().fault_of(example)

    def similarity(self, text: str, target: str) -> float:
        """Return the similarity of two texts, 0.0 to 1.0."""
        if text.strip() == target.strip():
            return 1.0
        value = _measure(self.metric)(text, target[:COMPARED_CHARS])
        return min(1.0, max(0.0, value))


@cache
def _measure(metric: str) -> Callable[[str, str], float]:
    """Return the function (text, target) -> similarity of a metric.

    Raises:
        SettingsError: Its library is not installed.
    """
    try:
        if metric == "fuzzy":
            return _fuzzy()
        return _sacrebleu(metric) if metric in ("bleu", "chrf") else _rouge(metric)
    except ImportError as problem:
        package = (problem.name or "").partition(".")[0].replace("_", "-")
        raise SettingsError(
            f"The grader text_similarity needs the package {package} for {metric}: install "
            "promptray[text]."
        ) from None


def _fuzzy() -> Callable[[str, str], float]:
    from rapidfuzz.fuzz import ratio
    from rapidfuzz.utils import default_process

    return lambda text, target: ratio(text, target, processor=default_process) / 100


def _sacrebleu(metric: str) -> Callable[[str, str], float]:
    from sacrebleu.metrics import BLEU, CHRF

    scorer = BLEU(effective_order=True) if metric == "bleu" else CHRF()
    return lambda text, target: float(scorer.sentence_score(text, [target]).score) / 100


def _rouge(metric: str) -> Callable[[str, str], float]:
    from rouge_score.rouge_scorer import RougeScorer

    name = "rougeL" if metric == "rouge_l" else metric.replace("_", "")
    scorer = RougeScorer([name])
    return lambda text, target: float(scorer.score(target, text)[name].fmeasure)
