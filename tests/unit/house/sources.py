"""The source of the product as trees, each file parsed once a process."""

import ast
from functools import cache
from pathlib import Path


def tree_of(file: Path) -> ast.Module:
    """Return a file's tree, which nobody may change: others read the same one."""
    return _tree(file.read_text(encoding="utf-8"))


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)
