"""Counts how the packages hang together: `python -m tests.unit.house.structure [--names]`.

Reads source, imports none of it.

A *package* here is one folder of modules, with its `__init__.py` and without its subfolders:
`cluster.service` and `cluster.service.http` are two packages. An import counts wherever it stands,
inside a function and under `if TYPE_CHECKING` too, since a circle that is hidden there is still a
circle for whoever reads or moves the code. The ceilings of the figures stand in
`tests/unit/house/test_structure.py`.
"""

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.unit.house.sources import tree_of

ROOT = Path(__file__).parents[3]
FLOORS = ("cluster", "serving", "optimizer")


@dataclass(frozen=True, slots=True, order=True)
class Module:
    name: str
    """Its dotted name; a package's `__init__.py` has the package's."""
    package: str
    """The dotted name of the folder that it stands in."""
    path: Path
    """Relative to the checkout."""
    lines: int


@dataclass(frozen=True, slots=True, order=True)
class Import:
    importer: str
    imported: str
    path: Path
    line: int
    note: str
    """"in a function", "for types only", or empty."""

    def __str__(self) -> str:
        note = f"  ({self.note})" if self.note else ""
        return f"{self.path.as_posix()}:{self.line}  {self.importer} -> {self.imported}{note}"


@dataclass(frozen=True, slots=True)
class Structure:
    """What stands in the folders, and who imports whom."""

    modules: dict[str, Module]
    imports: list[Import]

    def two_way_pairs(self) -> dict[tuple[str, str], list[Import]]:
        """Return each pair of packages that import each other, in the order of the alphabet, with
        the imports that make it.
        """
        between: dict[tuple[str, str], list[Import]] = defaultdict(list)
        for one in self.imports:
            importer, imported = (
                self.modules[one.importer].package,
                self.modules[one.imported].package,
            )
            if importer != imported:
                between[importer, imported].append(one)
        return {
            (a, b): between[a, b] + between[b, a]
            for a, b in sorted(between)
            if a < b and (b, a) in between
        }

    def circles(self) -> list[list[str]]:
        """Return each group of modules that import each other around a circle, the largest first.

        A group is a strongly connected component: from each of its modules a way of imports leads
        to each other one.
        """
        reachable = {name: self._reachable(name) for name in self.modules}
        groups = {
            frozenset(other for other in reachable[name] if name in reachable[other])
            for name in self.modules
            if name in reachable[name]
        }
        return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))

    def modules_by_folder(self) -> dict[str, int]:
        """Return how many modules each folder has, `__init__.py` and `__main__.py` not counted, the
        fullest first.
        """
        counts: dict[str, int] = defaultdict(int)
        for module in self.modules.values():
            if not module.path.name.startswith("__"):
                counts[module.path.parent.as_posix()] += 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def lines_by_file(self) -> dict[str, int]:
        """Return how many lines each file of Python has, the longest first."""
        return dict(
            sorted(
                ((module.path.as_posix(), module.lines) for module in self.modules.values()),
                key=lambda item: (-item[1], item[0]),
            )
        )

    def _reachable(self, start: str) -> set[str]:
        """Return the modules that `start` imports, itself or by others; with `start` itself only
        where a circle leads back.
        """
        next_by_module: dict[str, list[str]] = defaultdict(list)
        for one in self.imports:
            next_by_module[one.importer].append(one.imported)
        found: set[str] = set()
        waiting = list(next_by_module[start])
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += next_by_module[name]
        return found


def read_structure(root: Path = ROOT, folders: Iterable[str] = FLOORS) -> Structure:
    """Read the source under `folders` of the checkout `root`."""
    modules, trees = {}, {}
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        relative = path.relative_to(root)
        package = ".".join(relative.parent.parts)
        name = package if path.name == "__init__.py" else f"{package}.{path.stem}"
        modules[name] = Module(name, package, relative, len(text.splitlines()))
        trees[name] = tree_of(path)
    imports = [
        Import(name, imported, modules[name].path, line, note)
        for name, tree in trees.items()
        for imported, line, note in _imports(tree, modules)
        if imported != name
    ]
    return Structure(modules, imports)


def _imports(
    tree: ast.AST, modules: dict[str, Module], note: str = ""
) -> Iterator[tuple[str, int, str]]:
    """Return what of ours a module imports: the module meant, the line, and where the import hides,
    if it does.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (
                (alias.name, node.lineno, note) for alias in node.names if alias.name in modules
            )
        elif isinstance(node, ast.ImportFrom):
            # `from package import name` means the module package.name where there is one, else what
            # package's own file defines.
            meant = {f"{node.module}.{alias.name}" for alias in node.names}
            named = {name if name in modules else str(node.module) for name in meant}
            yield from ((name, node.lineno, note) for name in sorted(named) if name in modules)
        else:
            yield from _imports(node, modules, _note(node) or note)


def _note(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return "in a function"
    return (
        "for types only"
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        else ""
    )


def main() -> None:
    """Print the figures, and with --names every import that makes a pair or a circle."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0] + ".")
    parser.add_argument(
        "--names", action="store_true", help="also list each import that makes a pair or a circle"
    )
    options = parser.parse_args()
    found = read_structure()
    pairs, circles = found.two_way_pairs(), found.circles()
    print(f"{len(found.modules)} modules, {len(found.imports)} imports among them")
    print(f"\n{len(pairs)} two-way pairs of packages")
    for (a, b), imports in pairs.items():
        forth = sum(found.modules[one.importer].package == a for one in imports)
        print(f"  {a} <-> {b}   ({forth} imports forth, {len(imports) - forth} back)")
        if options.names:
            print(*(f"      {one}" for one in imports), sep="\n")
    print(
        f"\n{len(circles)} circles of modules; the largest has {max(map(len, circles), default=0)} "
        "files"
    )
    for circle in circles:
        print(f"  {len(circle)}: {', '.join(circle)}")
        if options.names:
            print(
                *(
                    f"      {one}"
                    for one in found.imports
                    if {one.importer, one.imported} <= set(circle)
                ),
                sep="\n",
            )
    print("\nmodules a folder, fullest first")
    for count, folders in groupby(found.modules_by_folder().items(), key=lambda item: item[1]):
        if count > 10:
            print(f"  {count}  {', '.join(folder for folder, _ in folders)}")
    print("\nlines a file, longest first")
    for path, lines in [*found.lines_by_file().items()][:10]:
        print(f"  {lines}  {path}")


if __name__ == "__main__":
    main()
