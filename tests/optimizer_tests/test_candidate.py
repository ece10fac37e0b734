"""Candidates, standings and rounds: one prompt is one candidate, and JSON keeps them."""

import json
import pickle

from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt, Step

SEED = Candidate(Prompt("seed"), "seed", 0)
CHILD = Candidate(
    Prompt("", (Step("a", "number"),), (Demonstration("i", "o"),), "end"), "refine", 1, SEED.id,
    "step 1 is skipped", changed_step=1)
ROUND = Round(1, (Standing(CHILD, 0.75, 20, 0.5, True), Standing(SEED, None, 0, None, False)), "One step was refined.", 2)


def test_the_same_prompt_is_the_same_candidate() -> None:
    assert Candidate(Prompt("seed"), "edit", 4, "x").id == SEED.id != CHILD.id


def test_a_round_knows_its_best_and_its_kept() -> None:
    assert ROUND.best.candidate == CHILD
    assert ROUND.kept == (CHILD,)


def test_json_and_pickle_keep_a_round_whole() -> None:
    assert Round.from_json(json.loads(json.dumps(ROUND.to_json()))) == ROUND
    assert pickle.loads(pickle.dumps(ROUND)) == ROUND
