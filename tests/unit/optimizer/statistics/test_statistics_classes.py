"""Figures by class against scikit-learn, and which targets are classes."""

from random import Random

import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from optimizer.statistics import OTHER, UNREADABLE, classes_of, confusion


def drawn(seed: int) -> tuple[list[str], list[str], list[str]]:
    """Targets, answers and their classes; some classes have no target, and some no answer."""
    rng = Random(seed)
    names = [f"class {place}" for place in range(rng.randint(2, 7))]
    targets = rng.choices(names, k=rng.randint(1, 80))
    answers = [
        target if rng.random() < 0.6 else rng.choice([*names, "", "no class"]) for target in targets
    ]
    return targets, answers, names


@pytest.mark.parametrize("seed", range(60))
def test_figures_agree_with_scikit_learn(seed: int) -> None:
    targets, answers, names = drawn(seed)
    found = confusion(targets, answers, classes=names)
    shown = {"": UNREADABLE, "no class": OTHER}
    predicted = [shown.get(answer, answer) for answer in answers]
    present = [name for name in names if name in targets or name in predicted]
    labels = [*names, OTHER, UNREADABLE]
    theirs = confusion_matrix(targets, predicted, labels=labels)
    columns = [labels.index(name) for name in found.answers]
    assert [list(row) for row in found.counts] == theirs[: len(names)][:, columns].tolist()
    assert theirs[:, [place for place in range(len(labels)) if place not in columns]].sum() == 0
    assert found.accuracy == pytest.approx(accuracy_score(targets, predicted))
    given = {"labels": present, "average": None, "zero_division": 0.0}
    figures = [one for one in found.by_class if one.name in present]
    for one, precision, recall, f1 in zip(
        figures,
        precision_score(targets, predicted, **given),
        recall_score(targets, predicted, **given),
        f1_score(targets, predicted, **given),
        strict=True,
    ):
        assert (one.precision or 0.0) == pytest.approx(precision)
        assert (one.accuracy or 0.0) == pytest.approx(recall)
        assert one.f1 == pytest.approx(f1)
    assert found.macro_f1 == pytest.approx(
        f1_score(targets, predicted, labels=present, average="macro", zero_division=0.0)
    )


def test_macro_f1_of_all_classes_is_scikit_learns_default() -> None:
    targets, answers = ["a", "b", "b", "c"], ["a", "b", "a", "b"]
    assert confusion(targets, answers).macro_f1 == pytest.approx(
        f1_score(targets, answers, average="macro")
    )


def test_unreadable_and_foreign_answers_have_columns_of_their_own() -> None:
    found = confusion(["a", "a", "b", "b"], ["a", "", "zebra", None])
    assert found.answers == ("a", "b", OTHER, UNREADABLE)
    assert found.counts == ((1, 0, 0, 1), (0, 0, 1, 0))
    assert found.items == 3, "no answer came to the last item"


def test_an_answer_names_its_class_in_other_letters_too() -> None:
    found = confusion(["Refund", "Refund", "Delay"], ["refund", '"Refund".', "**DELAY**"])
    assert found.accuracy == 1.0


def test_what_the_grader_accepts_is_the_targets_class() -> None:
    targets, answers = ["(A)", "(B)"], ["first option", "A"]
    found = confusion(targets, answers, [True, False])
    assert found.counts == ((1, 0), (1, 0))


def test_two_classes_of_one_form_are_kept_apart() -> None:
    found = confusion(["us", "US"], ["US", "us"], classes=("us", "US"))
    assert found.counts == ((0, 1), (1, 0))
    assert confusion(["us", "US"], ["'us'", "Us"]).answers[-1] == OTHER


def test_without_items_nothing_is_known() -> None:
    found = confusion([], [], classes=("a", "b"))
    assert (found.accuracy, found.macro_f1) == (None, None)
    assert [(one.accuracy, one.precision, one.f1) for one in found.by_class] == [
        (None, None, None)
    ] * 2


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        confusion(["a"], [])


@pytest.mark.parametrize(
    ("targets", "choices", "classes"),
    [
        (["spam", "ham"] * 3, (), ("ham", "spam")),
        (["ham"] * 5, ("spam", "ham"), ("spam", "ham")),
        (["spam", "ham"], (), ()),
        (["spam"] * 9, (), ()),
        (["3", "4"] * 9, (), ()),
        (["3", "4"] * 9, ("4", "3"), ("4", "3")),
        ([f"answer {place % 31}" for place in range(400)], (), ()),
        (["a long text " * 6, "b"] * 9, (), ()),
        (["two\nlines", "b"] * 9, (), ()),
        ([], ("a",), ()),
    ],
)
def test_which_targets_are_classes(
    targets: list[str], choices: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    assert classes_of(targets, choices) == classes
