"""What a person names where a file is wanted, and is none, is said at once: a FIFO is not waited
for, a device read for ever.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.service.client import ServiceClient
from optimizer.errors import PromptrayError
from optimizer.tasks.files import read_source
from serving.engines.scripted import ScriptedEngine
from serving.gateway.api_keys import Keys
from serving.settings import OpenAISettings, parse_model
from serving.settings.script import Script
from serving.settings.validation import read_mapping

READERS: dict[str, Callable[[Path], object]] = {
    "a script": lambda file: parse_model(f"scripted:{file}"),
    "a script's log": lambda file: ScriptedEngine(
        "x", Script.model_validate({"rules": [{"replies": ["a"]}]}), log=file
    ),
    "a model's key": lambda file: OpenAISettings(model="m", api_key_file=file).api_key(),
    "the gateway's keys": lambda file: Keys.read(file=file),
    "a chat template": lambda file: parse_model(
        {"kind": "vllm", "model": "m", "chat_template": str(file)}
    ),
    "settings": read_mapping,
    "a task": read_source,
    "an upload": lambda file: ServiceClient("http://127.0.0.1:9").upload(file),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_refused_in_a_sentence(tmp_path: Path, reader: str, kind: str) -> None:
    file = tmp_path / "named.jsonl"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(PromptrayError) as refused:
        READERS[reader](file)
    assert "\n" not in str(refused.value)
