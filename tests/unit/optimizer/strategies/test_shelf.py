"""The shelf of strategies, and what holds for all of them together."""

import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.candidate import Candidate
from optimizer.prompt import Prompt
from optimizer.strategies import STRATEGIES
from optimizer.strategies.lineage import unseen

ROOT = Path(__file__).parents[4]
PROGRAM = """
import asyncio, sys
from optimizer.strategies import STRATEGIES
from tests.contracts.strategy_contract import candidates, run
rounds = asyncio.run(run(STRATEGIES[sys.argv[1]](rounds=2)))
print(*(one.id for one in candidates(rounds)))
"""


def test_every_strategy_runs_with_its_defaults_and_cites_its_paper() -> None:
    for make in STRATEGIES.values():
        assert make() == make()
        assert "arXiv" in (sys.modules[make.__module__].__doc__ or "")


def test_of_equal_proposals_the_first_is_new_and_none_that_was_seen() -> None:
    first, again, other, old = (
        Candidate(Prompt(text), operator, 1)
        for text, operator in (("a", "edit"), ("a", "vary"), ("b", "vary"), ("c", "vary"))
    )
    assert unseen([old, first, again, other], {old.id}) == [first, other]


@pytest.mark.process
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_is_the_same_in_another_process(name: str) -> None:
    """No order of a set or a hash decides anything: a search is replayed from its answers, perhaps
    on another machine.
    """
    first, second = (_searched(name, hash_seed) for hash_seed in ("1", "2"))
    assert first == second
    assert len(first.split()) > 5


def _searched(name: str, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name],
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
