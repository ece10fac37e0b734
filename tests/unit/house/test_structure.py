"""How the packages hang together, held to what design asks: no circle of modules, at most one pair
of packages that import each other, folders that can be taken in at a glance. `python -m
tests.unit.house.structure --names` lists what stands behind each figure.
"""

from pathlib import Path

import pytest

from tests.unit.house.structure import Structure, read_structure

MAX_TWO_WAY_PAIRS = 1
MAX_MODULES_A_FOLDER = 17
MAX_LINES_A_FILE = 350
ONE = {"cluster/a.py": "import serving.b", "serving/b.py": ""}
"""A tree that is as it ought to be."""


@pytest.fixture(scope="module")
def ours() -> Structure:
    return read_structure()


def test_packages_that_import_each_other(ours: Structure) -> None:
    pairs = [" <-> ".join(pair) for pair in ours.two_way_pairs()]
    assert len(pairs) <= MAX_TWO_WAY_PAIRS, pairs


def test_circles_of_modules(ours: Structure) -> None:
    assert ours.circles() == []


def test_modules_a_folder(ours: Structure) -> None:
    counts = ours.modules_by_folder()
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES_A_FOLDER} == {}


def test_lines_a_file(ours: Structure) -> None:
    assert {
        path: lines for path, lines in ours.lines_by_file().items() if lines > MAX_LINES_A_FILE
    } == {}


def planted(root: Path, text_by_path: dict[str, str]) -> Structure:
    for name, text in (ONE | text_by_path).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_structure(root)


def test_a_tree_as_it_ought_to_be_has_neither_pair_nor_circle(tmp_path: Path) -> None:
    found = planted(
        tmp_path, {"serving/__init__.py": "", "cluster/__init__.py": "import cluster.a"}
    )
    assert (found.two_way_pairs(), found.circles()) == ({}, [])
    assert [str(one) for one in found.imports] == [
        "cluster/__init__.py:1  cluster -> cluster.a",
        "cluster/a.py:1  cluster.a -> serving.b",
    ]


@pytest.mark.parametrize(
    ("back", "note"),
    [
        ("from cluster import c", ""),
        ("from cluster.c import x, y", ""),
        ("def call():\n    import cluster.c", "in a function"),
        ("class C:\n    async def call(self):\n        from cluster import c", "in a function"),
        ("if TYPE_CHECKING:\n    from cluster.c import x", "for types only"),
        ("if typing.TYPE_CHECKING:\n    import cluster.c", "for types only"),
        ("try:\n    import cluster.c\nexcept ImportError:\n    pass", ""),
    ],
)
def test_a_planted_pair_of_packages_is_counted(tmp_path: Path, back: str, note: str) -> None:
    pairs = planted(tmp_path, {"cluster/c.py": "", "serving/d.py": back}).two_way_pairs()
    assert list(pairs) == [("cluster", "serving")]
    assert [(one.importer, one.imported, one.note) for one in pairs["cluster", "serving"]] == [
        ("cluster.a", "serving.b", ""),
        ("serving.d", "cluster.c", note),
    ]


def test_a_folder_and_its_subfolder_are_two_packages(tmp_path: Path) -> None:
    found = planted(
        tmp_path,
        {
            "cluster/inner/x.py": "import cluster.b",
            "cluster/b.py": "",
            "cluster/c.py": "from cluster.inner.y import z",
            "cluster/inner/y.py": "",
        },
    )
    assert list(found.two_way_pairs()) == [("cluster", "cluster.inner")]
    assert found.circles() == []


def test_a_package_s_own_file_is_not_its_modules(tmp_path: Path) -> None:
    """Naming a module of a package is no import of the package's `__init__.py`; naming what that
    file defines is one.
    """
    found = planted(
        tmp_path,
        {
            "cluster/inner/__init__.py": "from cluster.inner.x import X",
            "cluster/inner/x.py": "from cluster.inner import y",
            "cluster/inner/y.py": "",
        },
    )
    assert found.circles() == []
    found = planted(tmp_path, {"cluster/inner/y.py": "from cluster.inner import X"})
    assert found.circles() == [["cluster.inner", "cluster.inner.x", "cluster.inner.y"]]


def test_a_planted_circle_is_counted_with_all_its_modules(tmp_path: Path) -> None:
    found = planted(
        tmp_path,
        {
            "cluster/x.py": "import cluster.y",
            "cluster/y.py": "def f():\n    from cluster import z",
            "cluster/z.py": "import cluster.x",
            "cluster/p.py": "import cluster.q, cluster.x",
            "cluster/q.py": "if TYPE_CHECKING:\n    import cluster.p",
        },
    )
    assert found.circles() == [["cluster.x", "cluster.y", "cluster.z"], ["cluster.p", "cluster.q"]]


def test_planted_modules_are_counted_by_folder_and_lines_by_file(tmp_path: Path) -> None:
    found = planted(
        tmp_path,
        {f"cluster/many/m{number}.py": "" for number in range(18)}
        | {
            "cluster/many/__init__.py": "",
            "cluster/many/deeper/one.py": "",
            "serving/long.py": "x = 1\n" * 351,
        },
    )
    assert found.modules_by_folder() == {
        "cluster/many": 18,
        "serving": 2,
        "cluster": 1,
        "cluster/many/deeper": 1,
    }
    assert next(iter(found.lines_by_file().items())) == ("serving/long.py", 351)
