"""The house: imports go down only, and no other package owns our top-level names."""

import shutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FLOORS = ("cluster", "serving", "optimizer")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder)},
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the source, to plant violations in."""
    for floor in FLOORS:
        shutil.copytree(
            ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__", "target")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.process
def test_the_floors_hold(house: Path) -> None:
    found = _lint(house)
    assert found.returncode == 0, found.stdout


@pytest.mark.process
def test_planted_violations_are_seen(house: Path) -> None:
    """All in one run, as each takes seconds; every one of them must be named."""
    line_by_module = {
        "optimizer/evaluation/evaluator.py": "import ray",
        "optimizer/budget/call_budget.py": "import serving.ledger",
        "serving/concurrency/retrying.py": "import cluster.config.experiment",
        "optimizer/strategies/apo.py": "import optimizer.strategies.abo",
        "serving/ledger/cached_model.py": "import serving.budget.store",
        "serving/settings/base.py": "def engine(): import serving.engines.own_loop",
    }
    for module, line in line_by_module.items():
        with (house / module).open("a") as file:
            file.write(f"\n{line}\n")
    found = _lint(house)
    assert found.returncode != 0
    assert found.stdout.count("BROKEN") == 5
    assert "KEPT" not in found.stdout
    for module, line in line_by_module.items():
        importer = module.removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {line.split()[-1]} (l." in found.stdout


@pytest.mark.parametrize("name", FLOORS)
def test_nobody_else_owns_our_names(name: str) -> None:
    assert set(packages_distributions().get(name, ["promptray"])) == {"promptray"}
    assert Path(str(import_module(name).__file__)).is_relative_to(ROOT)


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [
        path for floor in FLOORS for path in (ROOT / floor).rglob("*.py") if path.stem in drawers
    ]
