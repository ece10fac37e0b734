"""What the service shows of graded scores: the kind of each interval, and of the test."""

from dataclasses import replace

import pytest

from cluster.service.read_models.candidates import TrialCandidates
from cluster.service.read_models.comparison import _split
from cluster.service.read_models.results import Results, TrialHistory
from cluster.service.read_models.trials import best_view
from cluster.service.schemas import ComparedItem, Response
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Prompt

ROOT = Candidate(Prompt("baseline"), "seed", 0)
CHILD = Candidate(Prompt("better"), "edit", 1, ROOT.id)
LOW, HIGH = (0.1, 0.4, 0.2, 0.3, 0.25, 0.5), (0.6, 0.8, 0.9, 0.7, 0.75, 0.5)


def standing(candidate: Candidate, scores: tuple[float, ...]) -> Standing:
    return Standing(candidate, sum(scores) / len(scores), len(scores), None, True, scores=scores)


@pytest.fixture
def history() -> TrialHistory:
    rounds = (
        Round(0, (standing(ROOT, LOW),)),
        Round(1, (standing(CHILD, HIGH), standing(ROOT, LOW))),
    )
    result = TrialResult(
        trial="t",
        task="orders",
        strategy="apo",
        selection="racing",
        seed=0,
        target="target",
        optimizer="optimizer",
        status="finished",
        best=CHILD,
        rounds=rounds,
        dev_accuracy=rounds[1].best.accuracy,
        test_accuracy=0.7,
        test_low=0.6,
        test_high=0.8,
        test_interval_kind="bootstrap",
        test_items=6,
    )
    return TrialHistory("t", rounds, result)


def test_a_best_prompt_names_its_intervals(history: TrialHistory) -> None:
    _, best = best_view(Results(), [history], "t")
    assert (best.test_interval_kind, best.dev_interval_kind) == ("bootstrap", "bootstrap")
    assert best.dev_low is not None
    assert best.dev_low < (best.dev_accuracy or 0.0)


def test_a_running_trial_has_the_interval_of_its_last_round(history: TrialHistory) -> None:
    _, best = best_view(Results(), [replace(history, result=None)], "t")
    assert (best.test_interval_kind, best.dev_interval_kind) == ("", "bootstrap")


def test_a_candidate_names_the_interval_of_its_gain(history: TrialHistory) -> None:
    detail = TrialCandidates(history).detail(CHILD.id)
    assert (detail.gain_interval_kind, detail.dev_interval_kind) == ("bootstrap", "bootstrap")
    assert detail.gain == pytest.approx(sum(HIGH) / 6 - sum(LOW) / 6)


@pytest.mark.parametrize(
    ("left", "kind", "lead_kind", "test"),
    [
        (HIGH, "bootstrap", "bootstrap", "permutation"),
        ((1.0,) * 6, "Wilson", "adjusted Wald", "exact McNemar"),
    ],
)
def test_a_comparison_names_its_methods(
    left: tuple[float, ...], kind: str, lead_kind: str, test: str
) -> None:
    right = LOW if kind == "bootstrap" else (0.0,) * 6
    split = _split(
        [
            ComparedItem(
                id=str(place),
                split="test",
                input="",
                answers=[],
                winner="left",
                left=Response(text=None, score=one, verdict=""),
                right=Response(text=None, score=other, verdict=""),
            )
            for place, (one, other) in enumerate(zip(left, right, strict=True))
        ]
    )
    assert split is not None
    assert (split.left_interval_kind, split.right_interval_kind) == (kind, kind)
    assert (split.lead_interval_kind, split.test) == (lead_kind, test)
