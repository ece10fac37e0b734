"""What a user is told when an engine cannot start: one sentence, in the words of the settings, and
no process stays behind.
"""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from optimizer.errors import PromptrayError, SettingsError, StorageError
from serving.engines.process_guard import MARK
from serving.models import load_engine
from serving.settings.vllm import VLLMSettings
from tests.integration.vllm.processes import environment
from tests.integration.vllm.target import SETTINGS

TESTED_BY = "PYTEST_XDIST_WORKER"
"""Another process that tests has engines of its own."""
pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def refused(**changes: Any) -> PromptrayError:
    """The error of an engine with these settings; it says one thing, on one line."""
    settings = VLLMSettings.model_validate(SETTINGS.model_dump() | changes)
    before = {process.pid for process in psutil.process_iter()}
    with pytest.raises(PromptrayError) as caught:
        load_engine(settings)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert str(caught.value).endswith((".", "?"))
    assert not [
        process
        for process in psutil.process_iter()
        if process.pid not in before
        and MARK in (of := environment(process))
        and of.get(TESTED_BY) == os.environ.get(TESTED_BY)
    ]
    return caught.value


def test_an_argument_that_vllm_does_not_have() -> None:
    problem = refused(engine_args={"max_num_batched_token": 100})
    assert isinstance(problem, SettingsError)
    assert "max_num_batched_tokens" in str(problem)


def test_a_value_that_vllm_refuses() -> None:
    problem = refused(engine_args={"quantization": "awq"})
    assert isinstance(problem, SettingsError)


def test_a_length_that_the_model_does_not_have() -> None:
    problem = refused(max_model_len=1_000_000)
    assert isinstance(problem, SettingsError)
    assert "1000000" in str(problem)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    assert isinstance(refused(model=str(tmp_path)), StorageError | SettingsError)


def test_a_name_that_cannot_be_had() -> None:
    problem = refused(model="nobody/nothing")
    assert isinstance(problem, StorageError | SettingsError)
    assert "nobody/nothing" in str(problem)


def test_a_gpu_for_the_cpu_build() -> None:
    problem = refused(gpus=1)
    assert isinstance(problem, SettingsError)
    assert "gpus: 0" in str(problem)


def test_more_memory_than_there_is() -> None:
    problem = refused(cpu_kv_cache_gib=100_000)
    assert isinstance(problem, SettingsError)
    assert "cpu_kv_cache_gib" in str(problem)
