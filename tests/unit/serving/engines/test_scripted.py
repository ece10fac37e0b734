"""The scripted model keeps the contract of engines, plays what its script says, and says what it
played.
"""

import json
import pickle
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import SettingsError, StorageError
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Failed, Message, Outcome, Request
from serving.contracts.refusals import Declined
from serving.engines import Engine
from serving.engines.scripted import ScriptedEngine
from serving.models import load_engine, open_in_process
from serving.settings import ScriptedSettings, parse_model, script
from serving.settings.script import Script
from tests.contracts.client_contract import LanguageModelContract, ask
from tests.contracts.engine_contract import EngineContract

ECHO = {
    "rules": [
        {
            "match": r"Question number (?P<number>\d+)",
            "replies": [{"text": "Number {{number}}.", "weight": 2}, "It is {{draw}}."],
        },
        {"replies": ["Heard ({{sample}})."]},
    ]
}
EVERY_FATE: dict[str, dict[str, Any]] = {
    "text": {"text": "Answer: 7"},
    "empty": {"text": " "},
    "length": {"text": "Answer: 7", "finish": "length"},
    "refusal": {"refusal": "I will not."},
    "content_filter": {"refusal": "It is vile.", "finish": "content_filter"},
    "error": {"refusal": "The policy forbids it.", "finish": "error"},
    "failure": {"failure": "The wire is cut."},
}
OUTCOME_BY_FATE: dict[str, Outcome] = {
    "text": Completion("Answer: 7", False, 1, 2),
    "empty": Completion(" ", False, 1, 0),
    "length": Completion("Answer: 7", True, 1, 2),
    "refusal": Declined("refused", "I will not."),
    "content_filter": Declined("refused", "It is vile.", "filter"),
    "error": Failed("refused", "The policy forbids it."),
    "failure": Failed("infrastructure", "The wire is cut."),
}


def playing(content: dict[str, Any], **settings: Any) -> ScriptedEngine:
    return ScriptedEngine("scripted:test", Script.model_validate(content), **settings)


def written(folder: Path, content: Any, name: str = "play.yaml") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


class TestScriptedEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return playing(ECHO)


class TestScriptedInProcess(LanguageModelContract):
    @pytest.fixture
    def model(self, tmp_path: Path) -> LanguageModel:
        return open_in_process(ScriptedSettings(script=written(tmp_path, ECHO)))


@pytest.mark.parametrize("fate", EVERY_FATE)
async def test_every_fate_is_played_and_logged_under_its_name(tmp_path: Path, fate: str) -> None:
    log = tmp_path / "log"
    engine = playing({"rules": [{"name": "all", "replies": [EVERY_FATE[fate]]}]}, log=log)
    (outcome,) = await engine.complete([ask("a")])
    assert (outcome, type(outcome)) == (OUTCOME_BY_FATE[fate], type(OUTCOME_BY_FATE[fate]))
    assert [piece async for piece in engine.stream(ask("a"))][-1] == outcome
    line = {"model": "scripted:test", "rule": "all", "reply": fate, "fate": fate}
    assert [json.loads(one) for one in log.read_text().splitlines()] == [line] * 2


async def test_the_first_rule_that_matches_answers_with_what_it_caught() -> None:
    engine = playing(
        {
            "rules": [
                {
                    "match": "capital of (?P<land>[A-Z]+)(?P<rest>!)?$",
                    "where": "last",
                    "replies": ["{{land}}{{rest}}"],
                },
                {"match": "^capital", "where": "first", "replies": ["first"]},
                {"match": "^two", "replies": ["anywhere"]},
            ]
        }
    )

    async def said(*texts: str) -> object:
        (outcome,) = await engine.complete(
            [Request(tuple(Message("user", text) for text in texts))]
        )
        return outcome.text if isinstance(outcome, Completion) else outcome

    assert await said("capital of PERU") == "PERU"
    assert await said("capital of PERU", "And then?") == "first"
    assert await said("one", "two") == "anywhere"
    assert isinstance(nothing := await said("one and two"), Failed)
    assert nothing.kind == "infrastructure"
    assert "no rule" in nothing.reason


@given(
    texts=st.lists(st.text(), min_size=1, max_size=3),
    sample=st.integers(0, 2**31),
    seed=st.integers(0, 9),
)
async def test_equal_requests_get_equal_replies_in_every_replica(
    texts: list[str], sample: int, seed: int
) -> None:
    script = {
        "faults": [{"share": 0.2, "text": ""}],
        "rules": [{"replies": ["a {{draw}}", "b {{draw}}", "c"]}],
    }
    request = Request(tuple(Message("user", text) for text in texts), sample=sample)
    assert await playing(script, seed=seed).complete([request]) == await playing(
        script, seed=seed
    ).complete([request])


async def test_replies_follow_their_weights_and_faults_their_shares(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    engine = playing(
        {
            "faults": [
                {"share": 0.2, "name": "cut", "text": "Let me", "finish": "length"},
                {"share": 0.1, "refusal": "No."},
            ],
            "rules": [
                {
                    "replies": [
                        {"name": "often", "text": "x", "weight": 6},
                        {"name": "seldom", "text": "y"},
                    ]
                }
            ],
        },
        log=log,
    )
    outcomes = await engine.complete([ask("a", sample) for sample in range(2000)])
    played = Counter(json.loads(line)["reply"] for line in log.read_text().splitlines())
    share = {name: number / 2000 for name, number in played.items()}
    assert share == pytest.approx(
        {"cut": 0.2, "refusal": 0.1, "often": 0.6, "seldom": 0.1}, abs=0.035
    )
    assert (
        sum(isinstance(outcome, Completion) and outcome.truncated for outcome in outcomes)
        == played["cut"]
    )
    assert sum(isinstance(outcome, Declined) for outcome in outcomes) == played["refusal"]


async def test_another_seed_or_sample_draws_anew() -> None:
    script = {"rules": [{"replies": ["{{draw}}"]}]}
    outcomes = [
        *await playing(script).complete([ask("a"), ask("a", 1)]),
        *await playing(script, seed=1).complete([ask("a")]),
    ]
    assert len({outcome.text for outcome in outcomes if isinstance(outcome, Completion)}) == 3


def test_the_content_of_the_script_is_in_settings_and_identity(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, ECHO)
    settings = ScriptedSettings(script=file, seed=4)
    identity = settings.identity
    assert settings.label == "scripted:play"
    written(tmp_path, {"rules": [{"replies": ["other"]}]})
    assert ScriptedSettings(script=file, seed=4).identity != identity
    arrived = pickle.loads(pickle.dumps(settings.model_copy(update={"chunks_in_flight": 9})))
    file.unlink()
    assert arrived.identity == identity
    assert load_engine(arrived).name == identity
    assert open_in_process(arrived).name == identity


def test_how_a_script_is_run_is_no_part_of_its_identity(tmp_path: Path) -> None:
    file = written(tmp_path, ECHO)
    one = parse_model(f"scripted:{file}")
    assert one == ScriptedSettings(script=file)
    logged = parse_model(
        {"kind": "scripted", "script": str(file), "log": str(tmp_path / "log"), "replicas": 2}
    )
    assert logged.identity == one.identity
    assert (
        parse_model({"kind": "scripted", "script": str(file), "seed": 1}).identity != one.identity
    )


def test_a_rule_may_stand_on_a_line_of_json(tmp_path: Path) -> None:
    rules = [{"match": "a", "replies": ["b"]}, {"replies": [{"refusal": "No."}]}]
    file = written(tmp_path, "\n".join(json.dumps(rule) for rule in rules) + "\n\n", "play.jsonl")
    assert Script.read(file).rules == Script.read(written(tmp_path, {"rules": rules})).rules


async def test_the_script_that_the_documentation_shows_is_one() -> None:
    shown = (script.__doc__ or "").partition("weights.\n")[2]
    engine = playing(yaml.safe_load(shown))
    outcomes = await engine.complete(
        [ask("What is the capital of Peru?", sample) for sample in range(40)]
    )
    assert "Nobody knows Peru. Answer: none" in [
        outcome.text for outcome in outcomes if isinstance(outcome, Completion)
    ]
    assert any(isinstance(outcome, Declined) for outcome in outcomes)


def test_a_log_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        playing(ECHO, log=tmp_path / "no folder" / "log")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("rules: [", "is not YAML"),
        ("just words", "has no rules"),
        ("\udcff", "is not UTF-8"),
        ({}, "rules is missing"),
        ({"rules": []}, "rules"),
        ({"rules": [{"replies": []}]}, "replies"),
        (
            {"rules": [{"replys": ["a"]}]},
            "rules.0 has a setting that is not known; known are: name, match, where, replies.",
        ),
        ({"rules": [{"replies": [{"txt": "a"}]}]}, "known are: name, text, refusal"),
        (
            {"secret-of-another": "xyz"},
            "It has a setting that is not known; known are: faults, rules.",
        ),
        ({"rules": [{"match": "(", "replies": ["a"]}]}, "not a regular expression"),
        ({"rules": [{"where": "middle", "replies": ["a"]}]}, "where"),
        ({"rules": [{"replies": ["{{land}}"]}]}, "{{land}}"),
        ({"rules": [{"replies": [{"text": "a", "refusal": "b"}]}]}, "text and refusal"),
        ({"rules": [{"replies": [{"weight": 2}]}]}, "not none"),
        ({"rules": [{"replies": [{"refusal": "a", "finish": "length"}]}]}, "not length"),
        ({"rules": [{"replies": [{"text": "a", "finish": "error"}]}]}, "not error"),
        ({"rules": [{"replies": [{"text": "a", "weight": 0}]}]}, "weight"),
        ({"rules": [{"replies": ["a"]}], "faults": [{"text": ""}]}, "share is missing"),
        (
            {"rules": [{"replies": ["a"]}], "faults": [{"share": 0.6, "text": ""}] * 2},
            "1.2 together",
        ),
        (
            {"rules": [{"replies": ["a"]}], "faults": [{"share": 0.6, "text": "{{land}}"}]},
            "{{land}}",
        ),
    ],
)
def test_a_mistake_in_a_script_is_one_sentence(tmp_path: Path, content: Any, says: str) -> None:
    file = tmp_path / "play.yaml"
    file.write_bytes(
        (content if isinstance(content, str) else yaml.safe_dump(content)).encode(
            "utf-8", "surrogateescape"
        )
    )
    with pytest.raises(SettingsError) as caught:
        parse_model(f"scripted:{file}")
    assert says in str(caught.value)
    assert "play.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.yaml", None, "cannot be read: No such file"),
        ("play.jsonl", '{"replies": ["a"]}\n{oh', r"a line that is not JSON \(line 2, column 2\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: str | None, says: str
) -> None:
    if content is not None:
        written(tmp_path, content, name)
    with pytest.raises(SettingsError, match=says):
        parse_model(f"scripted:{tmp_path / name}")


async def test_a_call_takes_as_long_as_the_settings_say_and_answers_the_same(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, ECHO)
    slow, fast = (ScriptedSettings(script=file, seconds=seconds) for seconds in (0.2, 0.0))
    assert slow.identity == fast.identity, "an answer stays paid for"
    began = time.monotonic()
    played = await load_engine(slow).complete([ask("a"), ask("b")])
    assert time.monotonic() - began >= 0.2
    assert played == await load_engine(fast).complete([ask("a"), ask("b")])


@pytest.mark.parametrize("name", ["other.yaml", "other.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        "sk-planted: [",
        "sk-planted",
        "- sk-planted",
        "sk-planted: x",
        "rules: sk-planted",
        "rules:\n- sk-planted: x",
        "*sk-planted",
        "rules:\n- where: sk-planted\n  replies: [a]",
        "a: 'sk-planted\nb",
        '{"sk-planted": 1}',
        "x: 2020-99-99 # sk-planted",
    ],
)
def test_what_stands_in_a_file_that_is_no_script_is_not_told(
    tmp_path: Path, name: str, content: str
) -> None:
    """Whoever names a file need not be allowed to read it."""
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError) as caught:
        parse_model(f"scripted:{tmp_path / name}")
    assert "sk-planted" not in str(caught.value)
    assert "\n" not in str(caught.value)
