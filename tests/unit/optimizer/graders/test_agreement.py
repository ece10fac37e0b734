"""The agreement of a judge with people: by definition, and on random labels."""

import random

import pytest

from optimizer.graders.graders import GraderSpec, grader_named
from optimizer.graders.judging.agreement import agreement, agreement_with_people
from optimizer.graders.judging.judge import Judging, tagged
from optimizer.scripted import ScriptedModel
from optimizer.types import Example, Failed

SPEC = GraderSpec("label_model", {"labels": {"good": 1, "bad": 0}, "rubric": "?", "human": "rated"})


def test_kappa_is_that_of_the_textbook() -> None:
    # Cohen's example as it is mostly told: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no
    pairs = (
        [("Yes", "yes ")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    )
    found = agreement(pairs)
    assert (found.items, found.exact, found.correlation) == (50, 0.7, None)
    assert found.kappa == pytest.approx(0.4)
    assert found.sentence == (
        "On 50 answers that people rated, the judge says the same on 70% (Cohen's kappa 0.40)."
    )


def test_labels_by_chance_have_a_kappa_near_zero() -> None:
    draw = random.Random(1)
    pairs = [(draw.choice("abc"), draw.choice("abc")) for _ in range(20_000)]
    assert agreement(pairs).kappa == pytest.approx(0.0, abs=0.02)


def test_numbers_are_correlated_and_one_label_alone_has_no_kappa() -> None:
    found = agreement([("1", "2"), ("2", "4.0"), ("3", "6"), ("4", "4")])
    assert found.exact == 0.25
    assert found.correlation == pytest.approx(0.632, abs=0.001)
    assert agreement([("1", "1"), ("1", "1")]).correlation is None
    assert agreement([("a", "a"), ("a", "a")]).kappa is None


async def test_a_judge_is_asked_about_the_answers_that_people_rated() -> None:
    rows = [
        ("fine", "good"),
        ("awful", "bad"),
        ("fine", "bad"),
        ("lost", "good"),
        (None, "good"),
        ("fine", None),
    ]
    examples = [
        Example(str(n), "?", (), fields={"human_answer": answer, "rated": rating})
        for n, (answer, rating) in enumerate(rows)
    ]

    def script(request):  # type: ignore[no-untyped-def]
        answer = tagged("answer", request.messages[1].content)
        if answer == "lost":
            return Failed("infrastructure", "gone")
        return f"<reason>r</reason><label>{'good' if answer == 'fine' else 'bad'}</label>"

    model = ScriptedModel(script)
    found = await agreement_with_people(SPEC.build(), SPEC.build(Judging(model)), examples)
    assert found is not None
    assert (found.items, found.exact) == (3, pytest.approx(2 / 3))
    exact = grader_named("exact")
    assert await agreement_with_people(exact, exact, examples) is None
    assert await agreement_with_people(SPEC.build(), SPEC.build(Judging(model)), []) is None
