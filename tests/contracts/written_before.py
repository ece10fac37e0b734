"""Folders that version 6cdc62a wrote, copied to where a test may change them.

See tests/fixtures/README.md.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

WRITTEN = Path(__file__).parents[1] / "fixtures" / "written_by_6cdc62a"
Copied = Callable[[str], Path]


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    """Gives a copy of one of the folders: run, search or storage."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(WRITTEN / name, tmp_path / name))

    return copy
