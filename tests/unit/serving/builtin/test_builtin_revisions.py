"""The built-in models' revisions stand for their answers: the same ones as long as every answer is,
another one when any is not.
"""

import re
from pathlib import Path

import pytest

from optimizer.errors import SettingsError
from optimizer.questions import template
from optimizer.types import Completion, Message, Request
from serving.engines.rulebook.engine import RulebookEngine
from serving.engines.rulebook.phrasebook import PHRASEBOOK
from serving.engines.rulebook.rules import RULES
from serving.settings import OptimizerSettings, TargetSettings, VLLMSettings, builtin
from serving.settings.builtin import RULEBOOK_REVISION, TARGET_REVISION
from tests.unit.serving.builtin.builtin_record import (
    answers_of,
    read_optimizer,
    read_target,
    target_now,
)

ANEW = (
    "give it a new revision in serving/settings/builtin.py, and then run `python -m "
    "tests.unit.serving.builtin.builtin_record`"
)


def test_old_ledgers_are_still_answered() -> None:
    """These identities stand in the keys of every ledger since the version of
    tests/fixtures/written_by_6cdc62a. They are spelt out
    here, so that a new revision is somebody's decision, who makes all those answers unpaid."""
    assert TargetSettings().identity == "builtin:target@617321bd"
    assert OptimizerSettings().identity == "builtin:optimizer@98f88351(prior_bias=0.1,seed=0)"
    assert (
        OptimizerSettings(prior_bias=0.4, seed=7).identity
        == "builtin:optimizer@98f88351(prior_bias=0.4,seed=7)"
    )
    assert (
        VLLMSettings(model="builtin:target", gpus=0).identity
        == "vllm:builtin:target@a481af59(dtype=auto)"
    )


def test_the_records_are_of_these_revisions() -> None:
    assert read_optimizer()[0] == RULEBOOK_REVISION
    assert read_target()["revision"] == TARGET_REVISION


def test_every_operator_and_task_is_recorded() -> None:
    recorded = read_optimizer()[1]
    operators = {path.stem for path in Path(template.__file__).with_name("templates").glob("*.txt")}
    assert operators == set(RULES)
    assert operators == {one.operator for one in recorded}
    of_all_tasks = {(operator, task) for operator in operators for task in (*PHRASEBOOK, "signs")}
    assert of_all_tasks <= {(one.operator, one.task) for one in recorded}
    assert any(len(one.messages) == 3 for one in recorded), "one that is asked a second time"


async def test_the_rulebook_answers_as_recorded() -> None:
    for one in read_optimizer()[1]:
        digests, answer = await answers_of(one.messages)
        assert answer == one.answer, f"{one.operator} on {one.task} is answered otherwise: {ANEW}"
        assert digests == one.digests, (
            f"{one.operator} on {one.task} is answered otherwise in some draw: {ANEW}"
        )


async def test_what_it_says_to_anything_else_and_of_itself_is_as_it_was() -> None:
    [outcome] = await RulebookEngine().complete([Request((Message("user", "What is the time?"),))])
    assert outcome == Completion(
        "I only answer promptray's operators.",
        prompt_tokens=4,
        completion_tokens=5,
        metadata={"stand_in": "a rulebook, not a language model"},
    )


async def test_the_target_answers_as_recorded() -> None:
    """Its answers in full are such as the same weights in 8 bits give, too: no machine's rounding
    turns one into another.
    """
    recorded = read_target()
    now = await target_now([chat["messages"] for chat in recorded["chats"]])
    assert now["digests"] == recorded["digests"], f"The target has other weights: {ANEW}"
    for chat, chat_now in zip(recorded["chats"], now["chats"], strict=True):
        assert chat_now["seen"] == chat["seen"], f"The target sees a chat in another form: {ANEW}"
        assert chat_now["answer"] == chat["answer"], f"The target answers otherwise: {ANEW}"


def test_missing_weights_are_reported_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(builtin, "_TARGET_FILES", (Path("/no/such/model.bin"),))
    builtin._expect_files.cache_clear()
    with pytest.raises(
        SettingsError, match=re.escape("lacks its file model.bin: install promptray again.")
    ):
        _ = TargetSettings().identity
    builtin._expect_files.cache_clear()
