"""What the product imports is declared, what is declared is imported, and nothing private is."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.house.sources import tree_of

ROOT = Path(__file__).parents[3]
LAYERS = ("cluster", "serving", "optimizer")
NOT_IMPORTED = {
    "plotly": "its script is read as a file, for the report page",
    "python-multipart": "FastAPI reads uploads by it",
}
"""Declared for another reason than an import of ours."""
NAMED_OTHERWISE = {"yaml": "pyyaml", "re2": "google-re2"}
"""Module -> distribution, where they have two names."""
PINNED = ("ray",)
"""Declared as one exact version, so that what is private in it may be relied on."""


def _project(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(folder: Path) -> set[str]:
    """Return the distributions that pyproject names, with those of the extras but `dev`."""
    project = _project(folder)
    extras = project["optional-dependencies"].items()
    lines = [line for extra, lines in extras if extra != "dev" for line in lines]
    return {
        _normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0])
        for line in [*project["dependencies"], *lines]
    }


def imported_modules(folder: Path) -> Iterator[tuple[str, str]]:
    """Iterate over the foreign modules that our files import, in functions too, and the files."""
    files = [file for layer in LAYERS for file in (folder / layer).rglob("*.py")]
    for file in [*files, *folder.glob("*.py")]:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            ours = (*LAYERS, "promptray")
            yield from (
                (name, str(file.relative_to(folder)))
                for name in names
                if name.partition(".")[0] not in ours
            )


def imported(folder: Path) -> dict[str, str]:
    """Return the distributions that our files import, each with a file that does."""
    found: dict[str, str] = {}
    for name, file in imported_modules(folder):
        module = name.partition(".")[0]
        if module not in sys.stdlib_module_names:
            found.setdefault(_normal(NAMED_OTHERWISE.get(module, module)), file)
    return found


def private(folder: Path) -> list[str]:
    """Return the imports of foreign modules and names that begin with an underscore."""
    return [
        f"{file}: {name}"
        for name, file in imported_modules(folder)
        if any(part.startswith("_") for part in name.split("."))
        and name.partition(".")[0] not in ("__future__", *PINNED)
    ]


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    used, known = imported(ROOT), declared(ROOT)
    assert {name: file for name, file in used.items() if name not in known} == {}
    assert known - used.keys() - NOT_IMPORTED.keys() == set()
    assert NOT_IMPORTED.keys() <= known - used.keys()


def test_nothing_private_of_others_is_imported() -> None:
    assert private(ROOT) == []
    lines = _project(ROOT)["dependencies"]
    assert all(any(re.match(rf"{name}\b.*==", line) for line in lines) for name in PINNED)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A source that imports in a function what it has not declared, and something private."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["ray[serve]==1", "Google_RE2>=1", "scipy"]\n'
        '[project.optional-dependencies]\nvllm = ["vllm>=0.1"]\ndev = ["requests"]\n'
    )
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "one.py").write_text(
        "import json\nimport re2\nfrom serving import two\n"
        "def f():\n    import requests\n    from vllm import LLM\n    from re import _parser\n"
    )
    (tmp_path / "promptray.py").write_text("from ray import serve\n")
    return tmp_path


def test_planted_violations_are_seen(planted: Path) -> None:
    assert imported(planted).keys() - declared(planted) == {"requests"}
    assert declared(planted) - imported(planted).keys() == {"scipy"}
    assert private(planted) == ["serving/one.py: re._parser"]
