"""What a long run leaves growing: samples of processes, actors and files, and a verdict on each
figure. Starts and kills nothing.

Memory is the proportional set size: what a process has alone, and its share of what it has with
others. Where there are several processes of a kind, the largest counts, so that a figure does not
follow how many trials run at the moment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil

MB = 2**20
KIND_BY_TITLE = {
    "ray::LedgerActor": "ledger",
    "ray::ImplicitFunc": "trial",
    "ray::ServeReplica:": "replica",
    "ray::ServeController": "Serve's controller",
}
"""What the processes of actors call themselves, as far as we care."""
KIND_BY_PROGRAM = {"raylet": "raylet", "gcs_server": "gcs"}
STAGING = "driver_artifacts"
SHARED_MEMORY = Path("/dev/shm")
TOLERANCE_BY_MEASURE = {"MB": 24.0, "open files": 12.0, "threads": 12.0, "count": 3.0}
"""What a figure's median may gain from the first third of a run to the last [ours]."""
TOLERANCE_BY_FIGURE = {
    ("ledger", "MB"): 64.0,  # it holds every answer in memory: some 2 kB each
    ("driver", "MB"): 64.0,  # Tune remembers every trial of its experiment, with its last result
    ("raylet", "MB"): 48.0,
    ("gcs", "MB"): 96.0,
}  # Ray's own record of actors and jobs that are dead, up to a limit of its own
GAIN_BY_EXPERIMENT = {("gcs", "open files"): 4.0}
"""Ray 2.60's gcs keeps sockets of drivers that are gone: 2.5 of each were seen.

It is not ours to mend.
"""
Figure = tuple[str, str]
"""What it is of, and its measure: a key of TOLERANCE_BY_MEASURE."""
Sample = Mapping[Figure, float]


def measured(
    processes: Iterable[psutil.Process],
    drivers: Iterable[int],
    actors: Sequence[str],
    folder: Path,
    tasks: int,
) -> Sample:
    """One sample.

    `drivers`: commands. `actors`: class names. `folder`: of Ray's sessions. `tasks`: of the
    endpoints' loops.
    """
    found = dict[Figure, float]()
    of_drivers = set(drivers)
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            kind = "driver" if process.pid in of_drivers else _kind(process)
            if kind:
                _keep_larger(found, kind, process)
    for name, number in Counter(map(_short, actors)).items():
        found[f"actors {name}", "count"] = number
    found["files of Ray's sessions", "count"] = _files(folder)
    found["folders of Tune's runs", "count"] = len(list(folder.rglob(STAGING)))
    found[f"files in {SHARED_MEMORY}", "count"] = (
        len(list(SHARED_MEMORY.iterdir())) if SHARED_MEMORY.is_dir() else 0
    )
    found["endpoints' asyncio tasks", "count"] = tasks
    return found


def _kind(process: psutil.Process) -> str:
    words = process.cmdline()
    if not words:
        return ""
    of_actor = next(
        (kind for title, kind in KIND_BY_TITLE.items() if words[0].startswith(title)), ""
    )
    return of_actor or KIND_BY_PROGRAM.get(Path(words[0]).name, "")


def _keep_larger(found: dict[Figure, float], kind: str, process: psutil.Process) -> None:
    memory = process.memory_full_info().pss / MB
    for measure, value in (
        ("MB", memory),
        ("open files", process.num_fds()),
        ("threads", process.num_threads()),
    ):
        found[kind, measure] = max(found.get((kind, measure), 0.0), value)


def _short(name: str) -> str:
    """Serve's replicas have names with their deployment's revision in it."""
    return ":".join(name.split(":")[:2])


def _files(folder: Path) -> int:
    """Logs are Ray's, a few for each process that ever was; what Tune keeps of a run is counted by
    the run.
    """
    return sum(
        1
        for path in folder.rglob("*")
        if path.is_file() and not {"logs", STAGING} & set(path.relative_to(folder).parts)
    )


def thirds(samples: Sequence[Sample], figure: Figure) -> tuple[float, float, float] | None:
    """The medians of a figure in the three thirds of a run.

    A count that is not in a sample is 0 there; where another figure is in
    none of a third, None."""
    size = len(samples) // 3
    parts = (samples[:size], samples[size : -size or None], samples[-size:])
    values = [
        [sample.get(figure, 0.0) for sample in part]
        if figure[1] == "count"
        else [sample[figure] for sample in part if figure in sample]
        for part in parts
    ]
    if not all(values):
        return None
    first, middle, last = map(median, values)
    return first, middle, last


def grows(medians: tuple[float, float, float], figure: Figure, experiments: int = 0) -> bool:
    """Steadily, and by more than is tolerated."""
    first, middle, last = medians
    return first < middle < last and last - first > tolerance(figure, experiments)


def tolerance(figure: Figure, experiments: int) -> float:
    own = TOLERANCE_BY_FIGURE.get(figure, TOLERANCE_BY_MEASURE[figure[1]])
    return own + experiments * GAIN_BY_EXPERIMENT.get(figure, 0.0)


def table(samples: Sequence[Sample], experiments: int = 0) -> tuple[list[str], bool]:
    """A line a figure, first third against last third, and whether any grows.

    `experiments`: that have ended.
    """
    lines = [f"{'':44} {'first third':>12} {'middle':>9} {'last':>9} {'may gain':>9}"]
    any_grows = False
    for figure in sorted({figure for sample in samples for figure in sample}):
        medians = thirds(samples, figure)
        if medians is None:
            continue
        bad = grows(medians, figure, experiments)
        any_grows |= bad
        first, middle, last = medians
        name = ", ".join(figure)
        most = tolerance(figure, experiments)
        lines.append(
            f"{name:44} {first:12.1f} {middle:9.1f} {last:9.1f} "
            f"{most:9.1f}{'  GROWS' if bad else ''}"
        )
    return lines, any_grows
