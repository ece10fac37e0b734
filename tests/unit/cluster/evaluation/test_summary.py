"""What an evaluation says of its prompts."""

from collections import Counter

import pytest

from cluster.evaluation.summary import Evaluated, comparisons, summaries


def evaluated(least: float | None, **scores: list[float | None]) -> Evaluated:
    verdicts = {label: Counter({"right": len(own)}) for label, own in scores.items()}
    return Evaluated(
        data="d",
        target="m",
        grader="exact",
        items=len(next(iter(scores.values()))),
        prompts=summaries(scores, verdicts, least),
        comparisons=comparisons(scores),
        least_score=least,
        complete=True,
        ended="",
        calls=0,
        cached=0,
        money=None,
    )


@pytest.mark.parametrize(
    ("least", "scores", "passed"),
    [
        (None, [1.0, 0.0], None),
        (0.5, [1.0, 0.0], True),
        (0.6, [1.0, 0.0], False),
        (0.6, [0.6, 0.6], True),
        (0.5, [1.0, 1.0, None, None], None),  # too much is missing to tell
        (0.5, [None, None], None),
    ],
)
def test_the_least_score(
    least: float | None, scores: list[float | None], passed: bool | None
) -> None:
    assert evaluated(least, a=scores).passed is passed


def test_every_prompt_must_reach_it() -> None:
    assert evaluated(0.5, a=[1.0, 1.0], b=[0.0, 0.0]).passed is False


def test_prompts_are_compared_on_shared_items_and_corrected_together() -> None:
    good, bad = [1.0] * 20 + [None], [0.0] * 20 + [1.0]
    found = evaluated(None, a=bad, b=good, c=good).comparisons
    assert [(one.first, one.second, one.verdict) for one in found] == [
        ("a", "b", "better"),
        ("a", "c", "better"),
        ("b", "c", "not distinguishable"),
    ]
    assert (found[0].difference, found[0].items, found[0].improved) == (1.0, 20, 20)
    assert found[0].corrected_p_value == pytest.approx(3 * found[0].p_value)
    assert found[2].corrected_p_value == 1.0
