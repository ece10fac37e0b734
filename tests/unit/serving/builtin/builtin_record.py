"""What the built-in models answer, on record, which
`python -m tests.unit.serving.builtin.builtin_record` writes again after a new revision.

An answer in a ledger is found by the model's identity, which holds a revision that is written down
in serving/settings/builtin.py. It says "the same answers as before", so it must change when an
answer does, and must not when a file is only moved or renamed. The record is what tells the two
apart:

    tests/fixtures/builtin_models/optimizer.jsonl   requests as they were sent once, word for word,
                                                    so that a new wording of an operator's template
                                                    changes none of them; at least one for each
                                                    operator and task. With each digests of its
                                                    answers, and one answer in full
    tests/fixtures/builtin_models/target.json       digests of the weights and the tokenizer, what
                                                    chats look like to the model, and some greedy
                                                    answers
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.types import Completion, Message, Request, Sampling
from serving.builtin import TARGET_FOLDER
from serving.builtin.chat import chat_text
from serving.engines.rulebook.engine import RulebookEngine
from serving.models import open_in_process
from serving.settings import TargetSettings
from serving.settings.builtin import RULEBOOK_REVISION, TARGET_REVISION

FOLDER = Path(__file__).parents[3] / "fixtures" / "builtin_models"
OPTIMIZER_FILE, TARGET_FILE = FOLDER / "optimizer.jsonl", FOLDER / "target.json"
DRAWS = {"0.0": (0.0, 0), "0.1": (0.1, 0), "1.0": (1.0, 0), "0.1, seed 7": (0.1, 7)}
"""Name of a digest -> the model's prior_bias and seed."""
SAMPLES = 12
"""Samples of each request that go into a digest."""
ROLES = ("user", "assistant", "user")
"""Who says what in a request: a question alone, or one with a reply that could not be read and the
complaint about it.
"""
_OPERATOR = re.compile(r"^Operator: (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Recorded:
    """One request to the optimizer model, and its answers."""

    task: str
    messages: tuple[str, ...]
    digests: dict[str, str]
    answer: str
    """The answer to sample 0 without bias: for people, who see what a difference is about."""

    @property
    def operator(self) -> str:
        found = _OPERATOR.search(self.messages[0])
        assert found
        return found[1]


def read_optimizer() -> tuple[str, list[Recorded]]:
    """Return the revision that the record was made under, and what stands in it."""
    head, *lines = [json.loads(line) for line in OPTIMIZER_FILE.read_text("utf-8").splitlines()]
    return head["revision"], [
        Recorded(**{**line, "messages": tuple(line["messages"])}) for line in lines
    ]


def read_target() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TARGET_FILE.read_text("utf-8"))
    return found


async def answers_of(messages: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the digests of a request's answers as the optimizer model gives them now, and the one
    that stands in full.
    """
    chat = tuple(Message(role, text) for role, text in zip(ROLES, messages, strict=False))
    digests, first = {}, ""
    for name, (prior_bias, seed) in DRAWS.items():
        requests = [Request(chat, sample=sample, purpose="propose") for sample in range(SAMPLES)]
        outcomes = await RulebookEngine(prior_bias, seed).complete(requests)
        texts = [
            outcome.text if isinstance(outcome, Completion) else repr(outcome)
            for outcome in outcomes
        ]
        digests[name] = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
        first = first or texts[0]
    return digests, first


async def target_now(chats: Sequence[Sequence[Sequence[str]]]) -> dict[str, Any]:
    """Return what the record of the target model would be now, with these chats: each a list of
    [role, content].
    """
    pairs = [[(str(role), str(content)) for role, content in chat] for chat in chats]
    requests = [
        Request(tuple(Message(role, text) for role, text in chat), Sampling(0.0, 256))
        for chat in pairs
    ]  # type: ignore[arg-type]
    outcomes = await open_in_process(TargetSettings()).complete(requests)
    return {
        "revision": TARGET_REVISION,
        "digests": {
            name: hashlib.sha256((TARGET_FOLDER / name).read_bytes()).hexdigest()
            for name in ("ctranslate2/model.bin", "tokenizer.json")
        },
        "chats": [
            {
                "messages": [list(pair) for pair in chat],
                "seen": chat_text(chat),
                "answer": getattr(outcome, "text", repr(outcome)),
            }
            for chat, outcome in zip(pairs, outcomes, strict=True)
        ],
    }


async def write() -> None:
    """Write both records anew, with the requests that stand in them.

    Raises SystemExit where answers differ and the revision does
    not: then old answers in ledgers would be taken for the new model's."""
    revision, recorded = read_optimizer()
    lines: list[dict[str, Any]] = []
    for one in recorded:
        digests, answer = await answers_of(one.messages)
        if digests != one.digests and revision == RULEBOOK_REVISION:
            raise SystemExit(
                f"{one.operator} on {one.task} is answered otherwise: give RULEBOOK_REVISION a new "
                "value first."
            )
        lines.append(
            {"task": one.task, "messages": list(one.messages), "digests": digests, "answer": answer}
        )
    before = read_target()
    target = await target_now([chat["messages"] for chat in before["chats"]])
    if target != before and before["revision"] == TARGET_REVISION:
        raise SystemExit("The target answers otherwise: give TARGET_REVISION a new value first.")
    head = {"revision": RULEBOOK_REVISION}
    OPTIMIZER_FILE.write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (head, *lines)), "utf-8"
    )
    TARGET_FILE.write_text(json.dumps(target, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(write())
