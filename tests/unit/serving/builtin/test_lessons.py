"""The lessons of the built-in target: what weighs in the loss, and the three habits that they
teach.
"""

from random import Random

import pytest

from optimizer.prompt import read_trace
from optimizer.tasks.generated import GENERATED
from serving.training.lessons import Turn, lesson
from serving.training.wordings import WORDINGS_BY_KIND, request, word


def _lessons(count: int) -> list[list[Turn]]:
    rng = Random(11)
    return [lesson(rng) for _ in range(count)]


def _said(turns: list[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.role == "assistant"]


def test_only_an_assistants_words_weigh() -> None:
    for turns in _lessons(200):
        assert turns[0].role == "system"
        assert turns[-1].role == "assistant"
        assert all(
            piece.weight == 0 for turn in turns if turn.role != "assistant" for piece in turn.pieces
        )
        assert any(piece.weight > 0 for piece in turns[-1].pieces)


def test_the_form_of_the_first_demonstration_is_only_read() -> None:
    for turns in _lessons(300):
        answers = _said(turns)
        if len(answers) > 1 and answers[0].text.startswith("Step"):
            assert answers[0].pieces[0].weight == 0
            assert answers[1].pieces[0].weight == 1


def test_what_demonstrations_show_is_always_done() -> None:
    for turns in _lessons(400):
        labels = [read_trace(answer.text).order for answer in _said(turns)]
        assert len(set(labels)) == 1


@pytest.mark.slow
def test_steps_without_example_are_skipped_more_in_long_questions() -> None:
    done_by_length: dict[bool, list[bool]] = {True: [], False: []}
    for turns in _lessons(4000):
        told = any(f"{number}." in turns[0].text for number in (1, 2))
        if len(turns) == 3 and told and "Take" in turns[1].text:
            done_by_length[turns[1].text.count("Take") > 4].append(turns[2].text.startswith("Step"))
    shares = {long: sum(done) / len(done) for long, done in done_by_length.items()}
    assert shares[True] < 0.15 < shares[False] < 0.85


def test_every_kind_of_every_task_has_wordings() -> None:
    kinds = {kind for task in GENERATED.values() for kind in task.kinds}
    assert kinds == set(WORDINGS_BY_KIND)
    for kind in kinds:
        assert "[" not in request(kind, 2, Random(3))


def test_a_grammar_gives_each_of_its_choices() -> None:
    rng = Random(0)
    assert {word("be [calm|exact|]", rng) for _ in range(60)} == {"be calm", "be exact", "be"}
