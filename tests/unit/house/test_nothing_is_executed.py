"""The house: nothing that comes from data, models or files is evaluated, imported, unpickled, or
shown as markup.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.house.sources import tree_of

ROOT = Path(__file__).parents[3]
FLOORS = ("cluster", "serving", "optimizer")
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "import_module",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
    "os.system",
    "os.popen",
    "numpy.load",
    "np.load",
    "torch.load",
    "joblib.load",
    "Template",
}
"""By whole name, or by the last part where it stands alone."""
HARMLESS = {"re.compile", "torch.compile", "importlib.metadata.import_module"}
MARKUP = {
    "cluster/results/page_assets.py": "a page's own style and scripts, files of packages",
}
"""Where ready HTML enters a page."""
OWN_PROCESSES = {
    "cluster/service/stores/check_server.py": (
        "pickle.loads",
        "a child reads its work from the process that has started it",
    )
}
"""What a process may unpickle: what its own parent has sent on a socket that nobody else has."""
IMPORTS = {
    "optimizer/registry.py": (
        "import_module",
        "what whoever runs an experiment, or operates a service, names in settings of his own",
    )
}
"""Where a name becomes a module. Who may ask for that is in MAY_IMPORT."""
MAY_IMPORT = {
    "optimizer/tasks/imported.py": "the scorer of a task whose code was imported",
    "cluster/config/component_spec.py": "under a context of validation that read() alone gives",
    "cluster/config/experiment.py": "the same",
    "cluster/own_code/function_models.py": "the same",
    "cluster/config/task.py": "the same",
    "serving/engines/function.py": "a model of settings that were read, or of an operator",
    "cluster/config/components.py": "a trial's worker, of settings that were read",
    "cluster/service/core/components.py": "the names of the service's operator",
}
"""The callers of Registry.import_name."""
_UNESCAPED = re.compile(r"\|\s*safe\b|autoescape\s+false|\bMarkup\b|\{%-?\s*raw")


def sources(root: Path) -> Iterator[Path]:
    for floor in FLOORS:
        yield from (root / floor).rglob("*.py")


def faults(root: Path) -> list[str]:
    """Every forbidden call and every place of unescaped markup, as FILE:LINE NAME."""
    found = [
        f"{file.relative_to(root)}:{line} {name}"
        for file in sources(root)
        for line, name in _calls(file)
    ]
    for floor in FLOORS:
        for file in (root / floor).rglob("*.j2"):
            found += [
                f"{file.relative_to(root)} {hit}"
                for hit in _UNESCAPED.findall(file.read_text("utf-8"))
            ]
    return found


def _calls(file: Path) -> Iterator[tuple[int, str]]:
    tree = tree_of(file)
    own = str(file).replace("\\", "/")
    markup = "markupsafe" in {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    if markup and not any(own.endswith(place) for place in MARKUP):
        yield 1, "markupsafe"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (
                (node.lineno, whole)
                for one in node.names
                if (whole := f"{node.module}.{one.name}") in FORBIDDEN
            )
        elif isinstance(node, ast.Call):
            places = OWN_PROCESSES | IMPORTS
            allowed = [name for place, (name, _) in places.items() if own.endswith(place)]
            yield from ((line, name) for line, name in _forbidden(node) if name not in allowed)


def _forbidden(node: ast.Call) -> Iterator[tuple[int, str]]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    tensors_alone = name == "torch.load" and given.get("weights_only") == "True"
    last = name.rpartition(".")[2] in {"import_module", "__import__", "Unpickler"}
    if (name in FORBIDDEN or last) and name not in HARMLESS and not tensors_alone:
        yield node.lineno, name
    if given.get("shell") == "True":
        yield node.lineno, f"{name}(shell=True)"
    if given.get("allow_pickle") == "True":
        yield node.lineno, f"{name}(allow_pickle=True)"
    if name.endswith("Environment") and given.get("autoescape") != "True" and "loader" in given:
        yield node.lineno, f"{name} without autoescape"


def test_nothing_from_outside_is_executed() -> None:
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(data)",
        "exec(data)",
        "import pickle; pickle.loads(data)",
        "from pickle import loads",
        "yaml.load(data)",
        "__import__(data)",
        "importlib.import_module(data)",
        "os.system(data)",
        "subprocess.run(data, shell=True)",
        "jinja2.Environment(loader=data)",
        "from markupsafe import Markup",
        "yaml.load(data, Loader=yaml.UnsafeLoader)",
        "np.load(data, allow_pickle=True)",
        "compile(data, '', 'eval')",
    ],
)
def test_a_planted_line_is_seen(tmp_path: Path, line: str) -> None:
    file = tmp_path / "optimizer" / "planted.py"
    file.parent.mkdir()
    file.write_text(f"{line}\n")
    assert faults(tmp_path)


@pytest.mark.parametrize(
    "text", ["{{ x|safe }}", "{{ x | safe }}", "{% autoescape false %}", "{{ Markup(x) }}"]
)
def test_a_planted_template_is_seen(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cluster" / "x.html.j2"
    file.parent.mkdir()
    file.write_text(text)
    assert faults(tmp_path)


def test_what_is_marked_as_ready_markup_comes_from_packages() -> None:
    """Each is the content of an asset: never a value of a result."""
    for place in MARKUP:
        marked = re.findall(r"Markup\(([^()]*(?:\([^()]*\))?)\)", (ROOT / place).read_text("utf-8"))
        assert marked
        assert all(one == "script" or one.startswith("asset(") for one in marked)


def _names(file: Path) -> set[str]:
    tree = tree_of(file)
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }


def importing(root: Path) -> set[str]:
    """The files in which a registry is told to import a name."""
    return {
        str(file.relative_to(root))
        for file in sources(root)
        if {"import_name", "installed"} & _names(file)
    }


def test_names_are_imported_by_those_alone_who_read_settings_of_whoever_runs_them() -> None:
    lists = {"cluster/registry.py", "cluster/cli/experiments.py"}  # `promptray list`
    assert importing(ROOT) == set(MAY_IMPORT) | lists


def test_another_caller_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "cluster" / "planted.py"
    file.parent.mkdir()
    file.write_text("STRATEGIES.import_name(request.name)\n")
    assert importing(tmp_path) == {"cluster/planted.py"}


def test_settings_are_read_with_imports_by_the_command_line_alone() -> None:
    """Not in the service, the page, or what shows results: those view them."""
    reading = {
        str(file.relative_to(ROOT))
        for file in sources(ROOT)
        if re.search(
            r"(Experiment|Diagnosis|Evaluation)Settings\.(read|of)\(", file.read_text("utf-8")
        )
    }
    commands = {f"cluster/cli/{name}.py" for name in ("diagnose", "experiments")}
    own = {"cluster/entry/reading.py", "cluster/evaluate.py"}  # for the commands and for Python
    assert reading == commands | own
    giving = {str(file.relative_to(ROOT)) for file in sources(ROOT) if "IMPORTS" in _names(file)}
    assert giving == {
        "cluster/config/component_spec.py",
        "cluster/config/experiment.py",
        "cluster/diagnosis/settings.py",
        "cluster/entry/reading.py",
        "cluster/evaluation/settings.py",
    }
    served = [
        file for one in ("service", "results") for file in (ROOT / "cluster" / one).rglob("*.py")
    ]
    assert served
    for file in served:
        assert not re.search(
            r"cluster\.(entry|evaluate)\b|import promptray", file.read_text("utf-8")
        ), file
    # They run or show evaluations, whose settings they make of a request, or view.
    assert {
        str(file.relative_to(ROOT / "cluster" / "service"))
        for file in served
        if re.search(r"cluster\.evaluation\b", file.read_text("utf-8"))
    } == {
        "backends/archived_evaluation.py",
        "core/job_record.py",
        "http/evaluations.py",
        "jobs/evaluation_mapping.py",
        "jobs/run_updates.py",
        "jobs/worker.py",
        "schemas/evaluations.py",
    }
