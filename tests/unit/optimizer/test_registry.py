"""A name becomes an object by a table, a reference or an entry point, and by nothing else."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from optimizer.errors import DataError, SettingsError
from optimizer.graders.graders import GRADERS, with_answer_line
from optimizer.prompt import Prompt
from optimizer.registry import Registry, Unfit, is_reference, short_name
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS, is_file
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from optimizer.types import Completion, Example

SOURCE = '''
"""Components of somebody else's."""
from dataclasses import dataclass
from optimizer.tasks.loading import split_task
from optimizer.types import Example, Score

@dataclass(frozen=True)
class Blind:
    """Guesses."""
    rounds: int = 2
    async def search(self, problem, optimizer, evaluate, rng):
        yield None

@dataclass(frozen=True)
class First:
    async def select(self, arms, items, keep, measure, rng):
        return list(range(arms))

@dataclass
class Changing:
    async def search(self, problem, optimizer, evaluate, rng):
        yield None

@dataclass(frozen=True)
class NoSearch:
    rounds: int = 2

@dataclass(frozen=True)
class OtherSearch:
    async def search(self, problem):
        yield None

@dataclass(frozen=True)
class NoRounds:
    async def search(self, problem, optimizer, evaluate, rng):
        return []

class NoSettings:
    async def search(self, problem, optimizer, evaluate, rng):
        yield None

def polite(response, example):
    "An answer with a please."
    return Score("right" if "please" in response.text else "wrong", response.text)

def broken(response, example):
    raise ValueError("no such thing")

def odd(response, example):
    return 0.5

def greetings(sizes, seed):
    examples = [Example(str(n), f"Greet {n}", ("hello please",)) for n in range(sizes.total)]
    return split_task("greetings", examples, sizes, seed, scorer=f"{__name__}:polite")

def no_task(sizes, seed):
    return ["a", "b"]

def no_data(sizes, seed):
    raise OSError("gone")

NUMBER = 3
'''
SIZES = Sizes(2, 2, 3)
REGISTRIES: tuple[Registry[Any], ...] = (STRATEGIES, SELECTION_RULES, GRADERS, TASKS)


@pytest.fixture(autouse=True)
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules of others, gone with all that was imported of them."""
    (tmp_path / "others.py").write_text(SOURCE)
    (tmp_path / "quits.py").write_text("raise SystemExit(3)")
    (tmp_path / "needs.py").write_text("import nothing_of_that_name")
    (tmp_path / "typo.py").write_text("def x(:")
    monkeypatch.syspath_prepend(tmp_path)
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_imported", {})
    yield
    for name in ("others", "quits", "needs", "typo"):
        sys.modules.pop(name, None)


def offer(folder: Path, name: str, entry_points: str, version: str = "1.2") -> None:
    """Install a distribution with these entry points."""
    record = folder / f"{name}-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (record / "entry_points.txt").write_text(entry_points)


def refusal(registry: Registry[Any], name: str) -> str:
    with pytest.raises(SettingsError) as caught:
        registry.import_name(name)
    assert name not in registry
    return str(caught.value)


def test_a_reference_is_imported_and_found_from_then_on() -> None:
    assert "others:Blind" not in STRATEGIES
    kind: Any = STRATEGIES.import_name("others:Blind")
    assert kind(rounds=3).rounds == 3
    assert STRATEGIES["others:Blind"] is kind
    assert "others:Blind" in list(STRATEGIES)
    assert STRATEGIES.module_of("others:Blind") == "others"
    assert SELECTION_RULES.import_name("others:First").__name__ == "First"


def test_looking_a_name_up_imports_nothing() -> None:
    for registry in REGISTRIES:
        assert "others:Blind" not in registry
        assert registry.get("others:Blind") is None
        with pytest.raises(KeyError):
            registry["others:Blind"]
        assert registry.is_elsewhere("others:Blind")
    assert "others" not in sys.modules


def test_a_name_of_the_table_is_the_table_s() -> None:
    assert STRATEGIES.import_name("apo") is STRATEGIES["apo"]
    assert STRATEGIES.module_of("apo") == ""
    assert not STRATEGIES.is_elsewhere("apo")
    with pytest.raises(SettingsError, match="'apo' is that of a strategy of promptray's own"):
        STRATEGIES.import_name("others:Blind", called="apo")


def test_a_component_can_have_another_name() -> None:
    kind = STRATEGIES.import_name("others:Blind", called="blind")
    assert STRATEGIES["blind"] is STRATEGIES["others:Blind"] is kind


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    offer(tmp_path, "theirs", "[promptray.strategies]\nblind = others:Blind\n")
    said = refusal(STRATEGIES, "nobody")
    assert said.startswith("There is no strategy called 'nobody'; known are: abo, apo, ")
    assert "blind" in said


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("others:NoSearch", "it has no method search(self, problem, optimizer, evaluate, rng)"),
        ("others:OtherSearch", "its method search does not take (self, problem, optimizer,"),
        ("others:NoRounds", "yields no rounds; it must be an async generator"),
        ("others:NoSettings", "no dataclass of settings; write @dataclass(frozen=True)"),
        ("others:Changing", "its settings can be changed; write @dataclass(frozen=True)"),
        ("others:NUMBER", "it is no dataclass of settings"),
        ("others:Nobody", "the module others has no Nobody"),
        ("nothing_of_that_name:Blind", "no module nothing_of_that_name; list its file under code"),
        ("others.deeper:Blind", "there is no module others.deeper"),
        ("needs:Blind", "there is no module nothing_of_that_name"),
        ("quits:Blind", "importing quits fails (SystemExit: 3)"),
        ("typo:Blind", "importing typo fails (SyntaxError: "),
    ],
)
def test_what_does_not_keep_the_contract_is_refused_in_one_sentence(name: str, why: str) -> None:
    said = refusal(STRATEGIES, name)
    assert said.startswith(f"The strategy {name!r} cannot be used: ")
    assert why in said
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize(
    "name", ["a b:C", "a:b:c", ":C", "a:", "a/b:C", "a.jsonl", "a..b:C", "1:C"]
)
def test_nothing_else_is_a_reference(name: str) -> None:
    assert not is_reference(name)
    assert "There is no strategy called" in refusal(STRATEGIES, name)


def test_a_closed_kind_imports_nothing() -> None:
    closed = Registry("searcher", {"grid": dict})
    assert "There is no searcher called 'others:Blind'" in refusal(closed, "others:Blind")
    assert closed.installed() == ()
    assert "others" not in sys.modules


def test_entry_points_are_found_by_their_names_with_where_they_come_from(tmp_path: Path) -> None:
    offer(tmp_path, "theirs", "[promptray.strategies]\nblind = others:Blind\n")
    kind = STRATEGIES.import_name("blind")
    assert kind.__name__ == "Blind"
    (one,) = STRATEGIES.installed()
    assert (one.name, one.value, one.distribution, one.fault) == (
        "blind",
        "others:Blind",
        "theirs 1.2",
        "",
    )
    assert one.component is kind
    assert SELECTION_RULES.installed() == ()


def test_a_broken_entry_point_breaks_no_other(tmp_path: Path) -> None:
    points = "fine = others:Blind\nquits = quits:X\nodd = others:NoSearch\napo = others:Blind\n"
    offer(tmp_path, "theirs", f"[promptray.strategies]\n{points}")
    fault_by_name = {one.name: one.fault for one in STRATEGIES.installed()}
    assert fault_by_name["fine"] == ""
    assert "importing quits fails" in fault_by_name["quits"]
    assert "has no method search" in fault_by_name["odd"]
    assert "promptray's own" in fault_by_name["apo"]
    assert STRATEGIES.import_name("fine").__name__ == "Blind"
    assert STRATEGIES.import_name("apo") is STRATEGIES.table["apo"]


def test_one_name_of_two_packages_is_nobody_s(tmp_path: Path) -> None:
    offer(tmp_path, "theirs", "[promptray.strategies]\nblind = others:Blind\n")
    offer(tmp_path, "more", "[promptray.strategies]\nblind = others:NoSearch\n")
    said = refusal(STRATEGIES, "blind")
    assert said == (
        "The strategy 'blind' is offered by more 1.2 and theirs 1.2: uninstall one, or name it as "
        "others:Blind or others:NoSearch."
    )
    assert [one.fault for one in STRATEGIES.installed()] == [said, said]


def test_short_names_are_for_people() -> None:
    assert short_name("a.b:Blind") == "Blind"
    assert short_name("apo") == "apo"


def test_a_scorer_is_any_function_that_gives_a_score() -> None:
    grader = GRADERS.import_name("others:polite")()
    example = Example("1", "Greet me", ("hello please",))
    assert grader.score(Completion("hello please"), example).verdict == "right"
    assert grader.score(Completion("hello"), example).verdict == "wrong"
    assert grader.is_right("please", example)
    assert not grader.form_is_at_fault(Completion("hello"), example)
    assert grader.accepts == "An answer with a please"
    assert with_answer_line(Prompt("Greet."), grader) is None


@pytest.mark.parametrize(("name", "why"), [("broken", "ValueError: no such thing"), ("odd", "0.5")])
def test_a_scorer_that_breaks_is_no_verdict(name: str, why: str) -> None:
    grader = GRADERS.import_name(f"others:{name}")()
    with pytest.raises(DataError, match=why):
        grader.score(Completion("x"), Example("1", "?", ("y",)))


def test_what_cannot_be_called_is_no_scorer_and_no_task() -> None:
    assert "cannot be called with (response, example)" in refusal(GRADERS, "others:NUMBER")
    assert "no function (sizes, seed)" in refusal(TASKS, "others:NUMBER")


def test_a_task_of_others_has_its_splits_and_brings_its_scorer() -> None:
    TASKS.import_name("others:greetings")
    assert not is_file("others:greetings")
    task, again = (load_task("others:greetings", sizes=SIZES, seed=1) for _ in range(2))
    assert task == again != load_task("others:greetings", sizes=SIZES, seed=2)
    assert (len(task.train), len(task.dev), len(task.test)) == (2, 2, 3)
    assert task.scorer == "others:polite"
    assert task.grader.build().score(Completion("please"), task.dev[0]).verdict == "right"
    changed = load_task(
        "others:greetings", sizes=SIZES, seed=1, scorer="choice", seed_instruction="Be kind."
    )
    assert changed.scorer == "choice"
    assert changed.seed_instruction == "Be kind."
    assert changed.dev[0].choices == ("hello please",)


@pytest.mark.parametrize(
    ("name", "why"), [("no_task", "gives \\['a', 'b'\\]"), ("no_data", "OSError: gone")]
)
def test_a_task_that_is_none_says_so(name: str, why: str) -> None:
    TASKS.import_name(f"others:{name}")
    with pytest.raises(DataError, match=why):
        load_task(f"others:{name}", sizes=SIZES, seed=0)


def test_a_task_that_was_not_imported_is_unknown() -> None:
    with pytest.raises(DataError, match="others:greetings"):
        load_task("others:greetings", sizes=SIZES, seed=0)
    assert "others" not in sys.modules


def test_another_kind_is_a_registry_with_a_rule_of_its_own() -> None:
    @dataclass(frozen=True)
    class Seeded:
        draw: float

    def fit(name: str, found: object) -> Seeded:
        if not isinstance(found, int):
            raise Unfit("it is no number")
        return Seeded(Random(found).random())

    kinds = Registry("seed", {"zero": Seeded(0.0)}, "promptray.seeds", fit)
    assert kinds.import_name("others:NUMBER") == Seeded(Random(3).random())
    assert "it is no number" in refusal(kinds, "others:Blind")
