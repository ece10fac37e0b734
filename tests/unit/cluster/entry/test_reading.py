"""What the first argument of a command may be, and that faults of options are told at once."""

from pathlib import Path

import pytest

from cluster.entry.faults import FaultCollector, Faults
from cluster.entry.reading import ExperimentOptions, read_experiment
from cluster.entry.starting_point import bundled, starting_point
from optimizer.errors import SettingsError, UserError


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    file = tmp_path / "tickets.csv"
    rows = [f"ticket {number},{('billing', 'bug')[number % 2]}" for number in range(200)]
    file.write_text("\n".join(["text,label", *rows]) + "\n")
    return file


def test_a_bundled_experiment_is_found_by_its_name_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "quickstart" in bundled()
    settings = read_experiment("quickstart", ExperimentOptions(seeds=[7]))
    assert (settings.name, settings.seeds) == ("quickstart", (7,))


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("name: mine\ntasks: [navigate]\nstrategies: [apo]\n")
    assert read_experiment("quickstart", ExperimentOptions()).name == "mine"


def test_a_generated_task_needs_nothing_else() -> None:
    settings = read_experiment("navigate", ExperimentOptions())
    assert [task.source for task in settings.tasks] == ["navigate"]
    assert settings.target == "builtin:target"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quikstart", "a bundled experiment (ablations, paper, quickstart, search)"),
        ("results", "is a folder"),
    ],
)
def test_a_name_of_nothing_says_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    with pytest.raises(SettingsError) as refused:
        starting_point(name)
    assert said in str(refused.value)


def test_data_and_options_are_an_experiment(tickets: Path) -> None:
    (tickets.parent / "system.md").write_text("Sort the ticket.")
    settings = read_experiment(
        str(tickets),
        ExperimentOptions(
            target="openai:m@http://127.0.0.1:1/v1",
            prices="0.15,0.6",
            money=5.0,
            input="text",
            target_column="label",
            prompt=str(tickets.parent / "system.md"),
            description="Sort tickets.",
            grader="exact",
            sizes="20,20,40",
        ),
    )
    (task,) = settings.tasks
    assert settings.name == "tickets"
    assert [spec.name for spec in settings.strategies] == ["apo"]
    assert settings.optimizer_model == settings.target_model  # of data alone, with its prices
    assert settings.target_model.prices is not None
    assert settings.budget.total.money == 5.0
    assert (task.baseline or "").strip() == "Sort the ticket."
    assert task.columns is not None
    assert (task.columns.input, task.columns.target) == ("text", "label")
    assert task.grader is not None
    assert task.grader.name == "exact"
    assert settings.sizes_of(task).total == 80


def test_all_faults_of_options_and_data_are_told_at_once(
    tickets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(Faults) as refused:
        read_experiment(
            str(tickets),
            ExperimentOptions(
                target="openai:m",
                optimizer="gpt",
                money=5.0,
                input="txt",
                target_column="label",
                prompt="missing.md",
                sizes="1,2",
            ),
        )
    told = "\n".join(refused.value.sentences)
    for part in ("OPENAI_API_KEY", "'gpt' names no model", "--prices", "missing.md", "--sizes"):
        assert part in told, part


def test_the_data_is_looked_at_though_options_are_at_fault(tickets: Path) -> None:
    with pytest.raises(Faults) as refused:
        read_experiment(str(tickets), ExperimentOptions(input="txt", target_column="label"))
    told = "\n".join(refused.value.sentences)
    assert "--model" in told
    assert "no column txt" in told


def test_a_single_fault_is_told_as_it_is() -> None:
    faults = FaultCollector()
    with faults.taking():
        raise UserError("One.")
    with pytest.raises(UserError, match=r"^One\.$"):
        faults.expect_none()
    faults.add("Two.")
    with pytest.raises(Faults, match=r"\(1\) One. \(2\) Two."):
        faults.expect_none()
