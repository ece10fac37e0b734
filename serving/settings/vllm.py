"""Settings of a Hugging Face checkpoint that vLLM serves, on GPUs or with vLLM's CPU build.

Nothing differs between the two but `gpus`: 0 requests only CPUs from Ray. Knows vLLM's words; does
not import it.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from optimizer.errors import StorageError
from optimizer.paths import expanded
from serving.builtin import TARGET_FOLDER
from serving.runtime.metric_labels import metric_label
from serving.settings.base import Served

BUILTIN = "builtin:target"
CPU_BLOCK = 32
"""Tokens of a block of the prefix cache on CPUs, the smallest that the kernels support. The CPU
build's own default of 128 would share only 256 tokens of prompts that begin with 300 equal
ones.
"""
WHOLE_BELOW_BYTES = 16 * 2**20
"""Files up to this size go into a folder's revision whole; of larger ones, which are weights,
the size and both ends.
"""
_ENDS_BYTES = 64 * 2**10
_OUR_NAME = {
    "model": "model",
    "revision": "revision",
    "dtype": "dtype",
    "seed": "seed",
    "max_model_len": "max_model_len",
    "enable_prefix_caching": "prefix_caching",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "enforce_eager": "enforce_eager",
    "tensor_parallel_size": "tensor_parallel_size",
    "max_num_seqs": "max_num_seqs",
    "block_size": "block_size",
}
_SECRETS = ("hf_token", "api_key", "token")


class VLLMSettings(Served):
    """Settings of a model under vLLM; prompts go through the model's own chat template.

    Answers at temperature 0 are greedy. The sampling defaults that a checkpoint brings along
    (top_p, repetition_penalty ...) are left out, so that all models are sampled under the same
    rule.
    """

    kind: Literal["vllm"] = "vllm"
    model: str = Field(min_length=1)
    """A folder that every node has under this path, a name on the Hugging Face hub, or
    "builtin:target".
    """
    revision: str | None = None
    """Branch, tag or commit of a hub name; for a folder a name of your own for its content,
    instead of a hash of its files.
    """
    gpus: float = Field(1.0, ge=0, le=64)
    """GPUs of a replica. 0: vLLM's CPU build. Below 1: a share of one, with
    `gpu_memory_utilization` no larger.
    """
    tensor_parallel_size: int | None = Field(None, ge=1, le=64)
    """GPUs over which one copy of the weights is split; None: all of a replica's."""
    accelerator_type: str | None = None
    """Ray's name of a GPU model, such as "H100", where only that will do."""
    cpus: float = Field(1.0, ge=0, le=1024)
    """CPUs of Ray that a replica holds; with gpus: 0 also the threads that compute."""
    chunk: int = Field(32, ge=8, le=32)
    chunks_in_flight: int = Field(12, ge=1, le=256)
    """More than the engine writes side by side (256 by default), since it starts the next prompt
    when any answer is finished, and a chunk is over only when all of its are. The whole path
    reached 0.92 of the throughput of LLM.generate with 12 chunks of 32, and 0.86 with 8 of 16
    (tests/benchmarks/serving.py, two cores).
    """
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_model_len: int | None = Field(None, ge=8)
    """Tokens of prompt and answer together; None: the checkpoint's own limit."""
    prefix_caching: bool = True
    seed: int = Field(0, ge=0)
    """Random seed of samples at a temperature above 0: another seed draws other answers."""
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, validate_default=True)
    enforce_eager: bool = False
    """No compilation and no CUDA graphs: starts faster and answers more slowly."""
    chat_template: Path | None = None
    """A Jinja file in place of the checkpoint's own template."""
    max_num_seqs: int | None = Field(None, ge=1)
    """Answers that are written side by side; None: vLLM's choice."""
    block_size: int | None = Field(None, ge=1)
    """Tokens of a block of the prefix cache; None: 32 on CPUs, vLLM's choice (mostly 16) on
    GPUs.
    """
    cpu_kv_cache_gib: float = Field(2.0, gt=0)
    """Memory of a replica's prefix cache on CPUs. On GPUs `gpu_memory_utilization` decides it."""
    engine_args: dict[str, Any] = {}
    """Other arguments of vLLM's AsyncEngineArgs, such as quantization or hf_overrides."""

    @field_validator("model")
    @classmethod
    def _full_path(cls, model: str) -> str:
        """Return the absolute path: a replica has another working directory."""
        if model.startswith("builtin:"):
            if model != BUILTIN:
                raise ValueError(f"of the built-in models vLLM serves {BUILTIN} alone")
            return model
        return str(expanded(model).resolve()) if _is_path(model) else model

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("must be 0, a share of one GPU, or a whole number of them")
        return gpus

    @field_validator("tensor_parallel_size")
    @classmethod
    def _within_gpus(cls, size: int | None, info: ValidationInfo) -> int | None:
        gpus = info.data.get("gpus", 0)
        if size is not None and 0 < gpus < size:
            raise ValueError(f"needs {size} GPUs, and a replica has gpus: {gpus:g}")
        return size

    @field_validator("gpu_memory_utilization")
    @classmethod
    def _within_share(cls, share: float, info: ValidationInfo) -> float:
        gpus = info.data.get("gpus", 1)
        if 0 < gpus < 1 and share > gpus:
            raise ValueError(
                f"must be at most {gpus:g}, the share of a GPU that gpus asks for; others use the "
                "rest"
            )
        return share

    @field_validator("chat_template")
    @classmethod
    def _template_is_there(cls, file: Path | None) -> Path | None:
        if file is not None and not expanded(file).is_file():
            raise ValueError(f"there is no file {file}")
        return file and expanded(file).resolve()

    @field_validator("engine_args")
    @classmethod
    def _not_ours(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key in given:
            if key in _SECRETS:
                raise ValueError(
                    f"must not hold {key}: put a token for the hub into the environment variable "
                    "HF_TOKEN"
                )
            if key in _OUR_NAME:
                raise ValueError(
                    f"must not hold {key}: it is a setting of the model itself, called "
                    f"{_OUR_NAME[key]}"
                )
        return given

    @property
    def label(self) -> str:
        """Return the kind and the model's name."""
        return f"vllm:{Path(self.model).name if _is_path(self.model) else self.model}"

    @property
    def identity(self) -> str:
        """Return the label with the revision and the settings that decide the answers.

        Raises:
            StorageError: If the folder is not on this machine and `revision` does not name its
                content.
        """
        deciding = {
            "dtype": self.dtype,
            "max_model_len": self.max_model_len,
            "seed": self.seed or None,
            "chat_template": self.chat_template and _hash(self.chat_template.read_bytes()),
            **self.engine_args,
        }
        values = ",".join(
            f"{key}={_plain(value)}" for key, value in deciding.items() if value is not None
        )
        folder = self._folder()
        revision = self.revision or (_hash_of_files(folder) if folder else "main")
        return f"{self.label}@{revision}({values})"

    @property
    def actor_options(self) -> dict[str, Any]:
        """Return a replica's Ray options."""
        return super().actor_options | (
            {"accelerator_type": self.accelerator_type} if self.accelerator_type else {}
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the settings in the words of AsyncEngineArgs, without those left to vLLM."""
        on_cpu = self.gpus == 0
        size = self.tensor_parallel_size or max(1, int(self.gpus))
        chosen = {
            "model": str(TARGET_FOLDER) if self.model == BUILTIN else self.model,
            # A tag of vLLM's metrics, which go to Ray's and have to be ASCII there; else vLLM takes
            # the model's own name.
            "served_model_name": None if self.model.isascii() else metric_label(self.label),
            "revision": None if self._folder() else self.revision,
            "dtype": self.dtype,
            "seed": self.seed,
            "max_model_len": self.max_model_len,
            "enforce_eager": self.enforce_eager,
            "enable_prefix_caching": self.prefix_caching,
            "max_num_seqs": self.max_num_seqs,
            "tensor_parallel_size": size,
            # Inside a Ray actor vLLM might place workers by Ray itself, outside the GPUs that this
            # replica was given.
            "distributed_executor_backend": "mp" if size > 1 else None,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "block_size": self.block_size or (CPU_BLOCK if on_cpu else None),
            "kv_cache_memory_bytes": int(self.cpu_kv_cache_gib * 2**30) if on_cpu else None,
        }
        return {key: value for key, value in chosen.items() if value is not None} | self.engine_args

    @property
    def cpu_threads(self) -> int | None:
        """Return the number of threads that compute, on CPUs; None: vLLM's choice."""
        return max(1, int(self.cpus)) if self.gpus == 0 else None

    def _folder(self) -> Path | None:
        if self.model == BUILTIN:
            return TARGET_FOLDER
        return Path(self.model) if _is_path(self.model) else None


def _is_path(model: str) -> bool:
    return model.startswith(("/", "./", "../", "~")) or Path(model).is_dir()


def _plain(value: object) -> str:
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


@cache
def _hash_of_files(folder: Path) -> str:
    """Return eight hex digits of the files of a checkpoint; its documentation does not count."""
    try:
        files = sorted(
            file
            for file in folder.iterdir()
            if file.is_file() and not file.name.startswith(".") and file.suffix != ".md"
        )
        if not files:
            raise FileNotFoundError(2, "it is empty")
        return _hash(b"".join(file.name.encode() + _signature(file) for file in files))
    except OSError as problem:
        raise StorageError(
            f"The model folder {folder} cannot be read here ({problem.strerror}); name a folder "
            "that every node has, and if this "
            "machine lacks it, name its content with `revision`."
        ) from problem


def _signature(file: Path) -> bytes:
    # Weights are gigabytes: their size and both ends identify them well enough.
    size = file.stat().st_size
    if size <= WHOLE_BELOW_BYTES:
        return hashlib.sha256(file.read_bytes()).digest()
    with file.open("rb") as opened:
        begin = opened.read(_ENDS_BYTES)
        opened.seek(-_ENDS_BYTES, 2)
        return hashlib.sha256(str(size).encode() + begin + opened.read()).digest()
