"""The command in a process of its own: a mistake ends with one clear sentence, an exit code that is
not 0, and no traceback.
"""

import json
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from optimizer.strategies import STRATEGIES
from tests.contracts.commands import forked

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": ["apo"],
    "sizes": {"train": 2, "dev": 2, "test": 3},
}


def complaint(*arguments: str, to_the_end: bool = False) -> str:
    ended = forked(*arguments, to_the_end=to_the_end)
    assert ended.returncode not in (0, None)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert "Starting Ray" not in ended.stdout
    return ended.stderr


def run(folder: Path, *options: str, **changes: Any) -> str:
    """What `promptray run` says to settings that are good but for `changes`."""
    file = folder / "x.yaml"
    file.write_text(yaml.safe_dump({"out": str(folder / "out")} | GOOD | changes))
    return complaint(
        "run", str(file), *options, to_the_end=not {"target", "optimizer"}.isdisjoint(changes)
    )  # connections


def data(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_misspelt_key(tmp_path: Path) -> None:
    assert "There is no setting called 'selektion'; did you mean 'selection'?" in run(
        tmp_path, selektion="full"
    )


def test_an_unknown_strategy(tmp_path: Path) -> None:
    known = ", ".join(sorted(STRATEGIES))
    assert f"There is no strategy called 'ape'; known are: {known}." in run(
        tmp_path, "--strategy", "ape"
    )


def test_a_missing_settings_file(tmp_path: Path) -> None:
    assert "Settings file not found: " in complaint("run", str(tmp_path / "none.yaml"))


def test_a_missing_task_file(tmp_path: Path) -> None:
    assert "none.jsonl" in run(tmp_path, "--task", str(tmp_path / "none.jsonl"))


def test_an_empty_task(tmp_path: Path) -> None:
    assert "empty.jsonl" in run(tmp_path, "--task", data(tmp_path, "empty.jsonl", ""))


def test_an_example_without_an_answer(tmp_path: Path) -> None:
    rows = [
        {"input": "a?", "target": "b"},
        {"input": "c?", "target": ""},
        {"input": "d?", "target": "e"},
    ]
    file = data(tmp_path, "holes.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert "2" in run(tmp_path, "--task", file)


def test_fewer_examples_than_the_splits_need(tmp_path: Path) -> None:
    rows = [{"input": f"{number}?", "target": "b"} for number in range(5)]
    file = data(tmp_path, "few.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    said = run(tmp_path, "--task", file)
    assert "5" in said
    assert "7" in said


def test_a_results_folder_that_is_not_writable(tmp_path: Path) -> None:
    said = run(tmp_path, "--out", data(tmp_path, "file", "") + "/out")
    assert "not writable" in said
    assert "--out" in said


def test_an_unreachable_endpoint(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    assert base_url in run(tmp_path, target=f"openai:tiny@{base_url}")


def test_a_wrong_api_key(tmp_path: Path) -> None:
    body = json.dumps(
        {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}
    )
    with Endpoint(401, body) as base_url:
        assert "key" in run(tmp_path, optimizer=f"openai:tiny@{base_url}")


def test_a_missing_api_key(tmp_path: Path) -> None:
    model = {
        "kind": "openai",
        "model": "tiny",
        "base_url": "https://models.invalid/v1",
        "api_key_env": "NO_SUCH_KEY_IS_SET",
    }
    assert "NO_SUCH_KEY_IS_SET" in run(tmp_path, target=model)


def test_a_model_that_the_endpoint_does_not_know(tmp_path: Path) -> None:
    with Endpoint(404, json.dumps({"error": {"message": "The model does not exist"}})) as base_url:
        assert "tiny" in run(tmp_path, target=f"openai:tiny@{base_url}")


def test_an_endpoint_without_a_balance_is_quoted_before_anything_starts(tmp_path: Path) -> None:
    with Endpoint(402, json.dumps({"error": {"message": "Insufficient Balance"}})) as base_url:
        said = run(tmp_path, target=f"openai:tiny@{base_url}", optimizer=f"openai:tiny@{base_url}")
    assert said.count("Insufficient Balance") == 1
    assert "no balance" in said


@pytest.mark.parametrize("body", ["<html>hello</html>", "{}", '{"choices": []}', "[1, 2]"])
def test_an_endpoint_that_answers_with_garbage(tmp_path: Path, body: str) -> None:
    with Endpoint(200, body) as base_url:
        target = {"kind": "openai", "model": "tiny", "base_url": base_url, "attempts": 2}
        assert base_url in run(tmp_path, target=target)


@pytest.mark.parametrize("text", [None, "no json", "[]", "{}", '{"prompt": {"steps": 3}}'])
def test_a_prompt_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    file = (
        data(tmp_path, "prompt.json", text) if text is not None else str(tmp_path / "prompt.json")
    )
    said = complaint("apply", file, "--input", "hello")
    assert "best/" in said


def test_a_prompt_whose_model_is_not_known(tmp_path: Path) -> None:
    prompt = {"instruction": "", "steps": [], "demonstrations": [], "closing": ""}
    file = data(tmp_path, "prompt.json", json.dumps({"prompt": prompt, "target": "openai:gone"}))
    assert "--target" in complaint("apply", file, "--input", "hello")


def test_a_missing_file_of_models_to_serve(tmp_path: Path) -> None:
    assert "Settings file not found: " in complaint("serve", str(tmp_path / "none.yaml"))


def test_a_misspelt_key_of_the_gateway(tmp_path: Path) -> None:
    for key in ("gateway", "door"):
        file = data(tmp_path, "models.yaml", f"models: [builtin:target]\n{key}: {{prot: 8000}}")
        assert f"no setting called '{key}.prot'" in complaint("serve", file)


def test_an_unknown_model_to_serve() -> None:
    assert "known are: optimizer, target" in complaint("serve", "--model", "builtin:nobody")


def test_a_search_that_cannot_be(tmp_path: Path) -> None:
    assert "did you mean 'beam'?" in run(tmp_path, search={"space": {"strategy.bean": [1]}})


def test_optuna_without_its_package(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        yaml.safe_dump(GOOD | {"search": {"searcher": "optuna"}, "out": str(tmp_path / "out")})
    )
    absent = "import sys; sys.modules['optuna'] = None; from cluster.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", absent, "run", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        "The searcher optuna needs a package that is not installed: pip install "
        "'promptray[optuna]'."
    )


def test_the_list_names_all_shelves() -> None:
    ended = forked("list")
    assert ended.returncode == 0
    for name in (
        "navigate",
        "object_counting",
        "iterative_ape",
        "apo",
        "abo",
        "full",
        "racing",
        "regex",
        "builtin:target",
    ):
        assert name in ended.stdout


class Endpoint:
    """A server that answers every POST with one status and one body."""

    def __init__(self, status: int, body: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
