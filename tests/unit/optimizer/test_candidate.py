"""Candidates, standings and rounds: one prompt is one candidate, and JSON keeps them."""

import json
import pickle

from optimizer.candidate import Candidate, Round, Standing
from optimizer.grader import same_text
from optimizer.prompt import Demonstration, Prompt, Step
from optimizer.types import Completion, Example

SEED = Candidate(Prompt("seed"), "seed", 0)
CHILD = Candidate(
    Prompt("", (Step("a", "number"),), (Demonstration("i", "o"),), "end"),
    "refine",
    1,
    SEED.id,
    "step 1 is skipped",
    changed_step=1,
)
MEASURED, UNMEASURED = (
    Standing(CHILD, 0.5, 2, 0.75, True, (0.75,), (1.0, None, 0.0)),
    Standing(SEED, None, 0, None, False),
)
ROUND = Round(1, (MEASURED, UNMEASURED), "One step was refined.", 2)


def test_the_same_prompt_is_the_same_candidate() -> None:
    assert Candidate(Prompt("seed"), "edit", 4, "x").id == SEED.id != CHILD.id


def test_a_round_knows_its_best_and_its_kept() -> None:
    assert ROUND.best.candidate == CHILD
    assert ROUND.kept == (CHILD,)


def test_json_and_pickle_keep_a_round_whole() -> None:
    assert Round.from_json(json.loads(json.dumps(ROUND.to_json()))) == ROUND
    assert pickle.loads(pickle.dumps(ROUND)) == ROUND


def test_a_round_without_scores_by_item_is_still_read() -> None:
    """Results that were written before standings had them."""
    data = ROUND.to_json()
    for standing in data["standings"]:
        del standing["scores"], standing["adherence_by_step"]
    read = Round.from_json(json.loads(json.dumps(data)))
    assert [(standing.accuracy, standing.scores) for standing in read.standings] == [
        (0.5, ()),
        (None, ()),
    ]


def test_the_same_text_is_right_in_any_case() -> None:
    example = Example("1", "?", ("Yes", "yes indeed"))
    for text, verdict in (
        ("Answer: YES", "right"),
        ("Answer: Yes indeed", "right"),
        ("Answer: no", "wrong"),
        ("Yes", "wrong"),
    ):
        assert same_text(Completion(text), example).verdict == verdict
