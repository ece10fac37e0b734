"""A best prompt works wherever its file is moved, on one input or a file of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster import apply
from cluster.apply import apply_once, apply_prompt
from cluster.cli import app
from optimizer.errors import EndpointError, SettingsError
from optimizer.prompt import Prompt
from optimizer.types import Completion, Failed, Outcome, Request

MODEL = {
    "kind": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "api_key_env": "MY_KEY",
}


class Model:
    """Says the number behind the word `is` of an input, and notes the requests."""

    name = "m"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.requests += requests
        return [self._outcome(request.messages[-1].content) for request in requests]

    def _outcome(self, text: str) -> Outcome:
        if "down" in text:
            return Failed("infrastructure", "It is down.")
        return Completion(f"It is so.\nAnswer: {text.rpartition(' ')[2]}")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    found = Model()
    monkeypatch.setattr(apply, "open_in_process", lambda settings: found)
    return found


@pytest.fixture
def prompt(tmp_path: Path) -> str:
    data = {
        "prompt": Prompt("Count.").to_json(),
        "target": "openai:m",
        "scorer": "number",
        "target_settings": MODEL,
        "sampling": {"temperature": 0.3, "max_tokens": 77},
    }
    (tmp_path / "moved.json").write_text(json.dumps(data))
    return str(tmp_path / "moved.json")


async def test_it_is_asked_as_it_was_tested(model: Model, prompt: str) -> None:
    assert await apply_prompt(prompt, "What is 7") == "It is so.\nAnswer: 7"
    (request,) = model.requests
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.3, 77)
    assert (await apply_once(prompt, "What is 7")).answer == "7"


async def test_no_answer_is_an_error(model: Model, prompt: str) -> None:
    with pytest.raises(EndpointError, match="It is down"):
        await apply_once(prompt, "down")


async def test_a_file_without_a_model_says_so(model: Model, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(
        json.dumps({"prompt": Prompt("x").to_json(), "target": "openai:m"})
    )
    with pytest.raises(SettingsError, match="name the model with --target"):
        await apply_prompt(tmp_path / "old.json", "What is 7")


def run(*arguments: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["apply", *arguments])
    assert ended.exit_code == code, ended.output + repr(ended.exception)
    return ended.output


def test_json_has_the_answer_as_the_grader_reads_it(model: Model, prompt: str) -> None:
    said = json.loads(run(prompt, "--input", "What is 7", "--json"))
    assert said == {"input": "What is 7", "output": "It is so.\nAnswer: 7", "answer": "7"}


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_file_of_inputs(model: Model, prompt: str, tmp_path: Path, ending: str) -> None:
    rows = [{"text": f"What is {number}", "extra": [number]} for number in range(300)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / f"out.{ending}"
    said = run(prompt, "--data", str(tmp_path / "in.jsonl"), "--column", "text", "--out", str(out))
    assert said.startswith("300 answers in ")
    lines = out.read_text().splitlines()
    if ending == "jsonl":
        found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        assert [row["answer"] for row in found] == [str(number) for number in range(300)]
        assert found[5]["extra"] == [5]
    else:
        assert set(lines[0].split(",")) == {"text", "extra", "output", "answer", "error"}


def test_what_has_no_answer_is_said_and_ends_with_code_1(
    model: Model, prompt: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("input\nWhat is 1\ndown\n")
    said = run(prompt, "--data", str(tmp_path / "in.csv"), code=1)
    first, second = map(json.loads, said.splitlines())
    assert (first["answer"], second["error"]) == ("1", "It is down.")
