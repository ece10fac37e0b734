"""Strategies, scorers, tasks and rules of one's own in an experiment: named in its settings, known
again by what they are, and shown without being run.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.cli import app
from cluster.config.components import components_of, import_components
from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.experiment.planning import plan_of, trial_specs
from cluster.experiment.prepare import as_yaml, check, course_of, differing_versions
from cluster.experiment.search_basis import basis_of
from cluster.experiment.search_journal import open_decisions
from cluster.own_code import code_files
from cluster.own_code.code_files import CodeFiles, read_code, use_code
from cluster.registry import catalogue
from cluster.search.decisions import Ended, to_json
from cluster.submission.packaging import pack
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS
from optimizer.registry import Registry
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS
from serving.storage import open_folder

MINE = '''
"""Of my own."""
from dataclasses import dataclass
from helpers.words import GREETING
from optimizer.tasks.loading import split_task
from optimizer.types import Example, Score

@dataclass(frozen=True)
class Blind:
    """Guesses."""
    rounds: int = 2
    beam: int = 1
    async def search(self, problem, optimizer, evaluate, rng):
        yield None

@dataclass(frozen=True)
class First:
    async def select(self, arms, items, keep, measure, rng):
        return list(range(arms))

def polite(response, example):
    """An answer with a greeting."""
    return Score("right" if GREETING in response.text else "wrong", response.text)

def greetings(sizes, seed):
    examples = [Example(str(n), f"Greet {n}", (GREETING,)) for n in range(sizes.total)]
    return split_task("greetings", examples, sizes, seed)
'''
REGISTRIES: tuple[Registry[Any], ...] = (STRATEGIES, SELECTION_RULES, GRADERS, TASKS)
SMALL = {"train": 2, "dev": 2, "test": 3}
GIVEN: dict[str, Any] = {
    "code": ["mine.py", "helpers"],
    "tasks": [{"source": "navigate", "scorer": "mine:polite"}, "mine:greetings"],
    "strategies": [{"name": "mine:Blind", "settings": {"rounds": 1}}, "apo"],
    "selection": "mine:First",
    "sizes": SMALL,
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has imported nothing of others, and is left like that."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_imported", {})
    yield
    use_code(CodeFiles())


def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_imported", {})
    use_code(CodeFiles())


def write(folder: Path, given: dict[str, Any] = GIVEN, source: str = MINE) -> Path:
    """A settings file with the code that it lists beside it."""
    (folder / "helpers").mkdir(parents=True, exist_ok=True)
    (folder / "helpers" / "words.py").write_text("GREETING = 'hello'\n")
    (folder / "mine.py").write_text(source)
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(given))
    return file


def complaint(file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        ExperimentSettings.read(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_experiment_names_components_of_its_own(tmp_path: Path) -> None:
    settings = ExperimentSettings.read(write(tmp_path))
    trials, tasks, recorded = check(settings)
    assert [trial.trial for trial in trials] == [
        "navigate-Blind-s0",
        "navigate-apo-s0",
        "greetings-Blind-s0",
        "greetings-apo-s0",
    ]
    plan = plan_of(settings, trials[0])
    assert (type(plan.strategy).__name__, plan.strategy_label) == ("Blind", "Blind")
    assert plan.strategy.rounds == 1  # type: ignore[attr-defined]
    assert (type(plan.selection).__name__, plan.selection_label) == ("First", "First")
    assert tasks["navigate", 0].scorer == "mine:polite"
    assert [name for _, name in components_of(settings)] == [
        "mine:Blind",
        "mine:First",
        "mine:greetings",
        "mine:polite",
    ]
    digest = recorded.versions["mine:Blind"]
    assert digest.startswith("sha256:")
    assert {recorded.versions[name] for _, name in components_of(settings)} == {digest}


def test_settings_are_those_of_its_class(tmp_path: Path) -> None:
    given = GIVEN | {"strategies": [{"name": "mine:Blind", "settings": {"round": 1}}]}
    assert "did you mean 'rounds'?" in complaint(write(tmp_path, given))
    given = GIVEN | {"strategies": [{"name": "mine:Blind", "settings": {"rounds": "many"}}]}
    assert "Of strategy 'mine:Blind': The setting rounds" in complaint(write(tmp_path, given))


def test_what_settings_name_is_found_from_where_it_was_written(tmp_path: Path) -> None:
    """As settings.yaml of a results folder, and in another process."""
    settings = ExperimentSettings.read(write(tmp_path / "a"))
    (tmp_path / "settings.yaml").write_text(as_yaml(settings))
    assert ExperimentSettings.read(tmp_path / "settings.yaml") == settings
    assert settings.code == (str(tmp_path / "a" / "mine.py"), str(tmp_path / "a" / "helpers"))


def test_a_worker_imports_what_the_driver_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExperimentSettings.read(write(tmp_path))
    _, tasks, _ = check(settings)
    code = read_code(settings.code)
    forgotten(monkeypatch)
    for file in tmp_path.rglob("*.py"):
        file.unlink()  # another machine
    assert "mine" not in sys.modules
    import_components(settings, tasks.values(), code)
    assert plan_of(settings, trial_specs(settings)[0]).strategy_label == "Blind"
    assert GRADERS["mine:polite"].accepts == "An answer with a greeting"


def test_a_worker_on_the_same_machine_takes_the_copy_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ExperimentSettings.read(write(tmp_path))
    sent = code_files.code_in_use()
    assert sent.is_here
    as_another_process(monkeypatch)
    use_code(sent)
    assert code_files.code_in_use().place == sent.place
    as_another_process(monkeypatch)
    (Path(sent.place) / "mine.py").write_text("raise SystemExit('not what was sent')")
    assert not sent.is_here
    use_code(sent)
    assert code_files.code_in_use().place != sent.place
    monkeypatch.undo()  # this process again, whose copy goes with the test


def as_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has written nothing and imported nothing."""
    place = code_files.code_in_use().place
    monkeypatch.setattr(code_files, "_in_use", code_files._InUse())
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != place])
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "helpers")]:
        del sys.modules[name]


def test_it_travels_with_a_submitted_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExperimentSettings.read(write(tmp_path / "a"))
    (tmp_path / "job").mkdir()
    shipment = pack(settings, tmp_path / "job")
    assert shipment.settings.code == ("code/helpers", "code/mine.py")
    forgotten(monkeypatch)
    monkeypatch.chdir(tmp_path / "job")
    arrived = ExperimentSettings.read("settings.yaml")
    _, _, there = check(arrived)
    assert differing_versions(arrived.recorded, there.versions) == ()
    assert {name: there.versions[name] for _, name in components_of(arrived)} == {
        name: check(settings)[2].versions[name] for _, name in components_of(settings)
    }


def recorded(settings: ExperimentSettings) -> Recorded:
    return check(settings)[2]


def completed(settings: ExperimentSettings) -> ExperimentSettings:
    return settings.model_copy(update={"recorded": recorded(settings)})


def test_a_changed_component_is_told_and_takes_another_course(tmp_path: Path) -> None:
    before = completed(ExperimentSettings.read(write(tmp_path)))
    assert course_of(before) == course_of(completed(ExperimentSettings.read(write(tmp_path))))
    after = completed(ExperimentSettings.read(write(tmp_path, source=MINE + "\n# changed\n")))
    assert course_of(after) != course_of(before)
    assert after.recorded is not None
    told = differing_versions(before.recorded, after.recorded.versions)
    assert [line.split()[2] for line in told] == [name for _, name in components_of(after)]


def searched(folder: Path, source: str = MINE) -> ExperimentSettings:
    given = GIVEN | {
        "search": {
            "space": {"strategy.rounds": [1, 2], "selection": ["racing", "mine:First"]},
            "searcher": "random",
            "trials": 2,
        }
    }
    return ExperimentSettings.read(write(folder, given, source))


def test_a_search_is_not_continued_with_another_revision(tmp_path: Path) -> None:
    settings = searched(tmp_path)
    basis = basis_of(settings, recorded(settings))
    assert basis["the setting strategies"][0] == "Blind: mine:Blind (rounds=1, beam=1)"
    assert basis["the revision of mine:First"].startswith("sha256:")
    kept = tmp_path / "out" / "decisions"
    kept.mkdir(parents=True)
    (kept / "settings.json").write_text(json.dumps(basis))
    (kept / "000000.jsonl").write_text(json.dumps(to_json(Ended("t", 0.5))) + "\n")
    out = open_folder(tmp_path / "out")
    assert open_decisions(out, settings, recorded(settings), ["t"]).made == (Ended("t", 0.5),)
    changed = searched(tmp_path, MINE + "\n# changed\n")
    with pytest.raises(SettingsError, match="the revision of mine:Blind was sha256"):
        open_decisions(out, changed, recorded(changed), ["t"])


def test_an_experiment_without_any_keeps_its_identity_to_the_byte() -> None:
    """As computed by the commit before components of others came."""
    settings = ExperimentSettings.model_validate(
        {"tasks": ["navigate"], "strategies": ["apo", "abo"], "out": "x", "sizes": SMALL}
    )
    assert course_of(settings) == "d5ca140dd884f78c"
    assert "code" not in as_yaml(settings)
    assert not any(":" in name for name in recorded(settings).versions)
    assert not any(
        "revision" in name
        for name in basis_of(
            settings.model_copy(update={"search": searched_builtin().search}), Recorded()
        )
    )


def searched_builtin() -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {"tasks": ["navigate"], "strategies": ["apo"], "search": {"space": {}}}
    )


def test_to_look_at_settings_runs_nothing_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text(as_yaml(completed(searched(tmp_path / "a"))))
    whole = ExperimentSettings.read(tmp_path / "settings.yaml")
    course, trials = course_of(whole), [one.trial for one in trial_specs(whole)]
    forgotten(monkeypatch)
    (tmp_path / "a" / "mine.py").write_text("raise SystemExit('run')")
    viewed = ExperimentSettings.view(tmp_path / "settings.yaml")
    assert "mine" not in sys.modules
    assert course_of(viewed) == course
    assert [one.trial for one in trial_specs(viewed)] == trials
    with pytest.raises(SettingsError, match="no strategy called 'mine:Blind'"):
        viewed.strategies[0].build()


def test_settings_that_are_not_read_to_be_run_import_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    for changes in (
        {},
        {"strategies": ["apo"]},
        {"strategies": ["apo"], "selection": "racing"},
        {
            "strategies": ["apo"],
            "selection": "racing",
            "search": {"space": {"selection": ["mine:First", "full"]}},
        },
    ):
        given = GIVEN | {"code": [str(tmp_path / "mine.py")]} | changes
        try:
            settings = ExperimentSettings.model_validate(given)
        except ValueError:
            continue
        with pytest.raises(ValueError, match=r"mine:(greetings|polite)"):
            check(settings)
    assert "mine" not in sys.modules


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (["absent.py"], "There is no {}/absent.py, which the settings list under code."),
        (["my-code"], "my-code cannot be imported under its name"),
        (["mine.py", "other/mine.py"], "two things called mine under code"),
        (["random.py"], "The code random has the name of another module"),
        (["optimizer"], "The code optimizer has the name of another module"),
        (["linked"], "linked/there.py is a link, which does not travel"),
        (["secret"], "secret/server.key looks like a secret"),
        (["large"], "is more than 10 MiB"),
        pytest.param(["many"], "has more than 1,000 files", marks=pytest.mark.slow),
        ("mine.py", "The setting code must be a list of files and folders."),
        ([3], "The setting code must be a list of files and folders."),
    ],
)
def test_code_that_cannot_travel_says_why(tmp_path: Path, listed: Any, why: str) -> None:
    file = write(tmp_path, GIVEN | {"code": listed})
    for folder in ("my-code", "other", "optimizer", "linked", "secret", "large", "many"):
        (tmp_path / folder).mkdir()
    for name in ("other/mine.py", "random.py", "optimizer/x.py", "secret/server.key"):
        (tmp_path / name).write_text("")
    (tmp_path / "linked" / "there.py").symlink_to(tmp_path / "mine.py")
    (tmp_path / "large" / "x.bin").write_bytes(bytes(code_files.MOST_BYTES + 1))
    if listed == ["many"]:
        for number in range(code_files.MOST_FILES + 1):
            (tmp_path / "many" / f"f{number}.py").touch()
    before = list(sys.path)
    assert why.format(tmp_path) in complaint(file)
    assert sys.path == before


def test_hidden_files_and_what_is_compiled_stay_at_home(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in (".env", ".git/config", "__pycache__/x.pyc", "a.pyc", "a.py", "deep/prompt.txt"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("x")
    code = read_code([str(package)])
    assert [name for name, _ in code.files] == ["package/a.py", "package/deep/prompt.txt"]
    assert code.top == {"package"}


def test_only_what_is_listed_can_be_imported(tmp_path: Path) -> None:
    file = write(tmp_path, GIVEN | {"code": ["mine.py"]})
    assert "there is no module helpers; list its file under code" in complaint(file)


def test_other_code_of_the_same_name_takes_its_place(tmp_path: Path) -> None:
    one = ExperimentSettings.read(write(tmp_path / "a"))
    assert one.strategies[0].build(rounds=1)
    other = MINE.replace("rounds: int = 2", "times: int = 2")
    given = GIVEN | {"strategies": ["mine:Blind"]}
    two = ExperimentSettings.read(write(tmp_path / "b", given, other))
    assert "times" in str(two.strategies[0].build())


def test_a_settings_file_that_lies_elsewhere_names_whole_paths() -> None:
    with pytest.raises(SettingsError, match=r"The code mine\.py must have a whole path"):
        code_files.whole_places(["mine.py"], None)
    assert code_files.whole_places(["/a/mine.py"], None) == ("/a/mine.py",)


def test_a_new_scorer_in_the_table_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    table: Any = GRADERS.table
    monkeypatch.setitem(table, "mine", GRADERS["exact"])
    line = next(lines for title, lines in catalogue().items() if title == "Graders")["mine"]
    assert line.startswith("The same text as a target")


def test_the_list_has_what_packages_offer_and_what_is_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    record = tmp_path / "theirs-1.2.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (record / "entry_points.txt").write_text(
        "[promptray.strategies]\nblind = mine:Blind\nbad = mine:First\n"
        "[promptray.graders]\npolite = mine:polite\n[promptray.tasks]\ngreet = nothing:x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    shown = CliRunner().invoke(app, ["list"])
    sys.modules.pop("mine", None)
    assert shown.exit_code == 0
    lines = {line.split()[0]: line for line in shown.output.splitlines() if line.startswith("  ")}
    assert lines["blind"].endswith("Guesses. (theirs 1.2, mine:Blind)")
    assert (
        "Cannot be used. The strategy 'bad' cannot be used: it has no method search" in lines["bad"]
    )
    assert "An answer with a greeting. (theirs 1.2, mine:polite)" in lines["polite"]
    assert "there is no module nothing" in lines["greet"]
    assert "apo" in lines
    assert "package.module:Name" in shown.output
