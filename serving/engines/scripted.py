"""An engine that plays a script.

The first rule that matches a request answers it, by a reply drawn with the request's own chances.
It is a product and not a patch: hosted behind the gateway it is a server that refuses, breaks off,
forgets its tags and gives empty replies, as often as its script says, and the log records what it
played. Equal requests get equal replies, in every replica. Knows no language.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from errno import EINVAL
from itertools import accumulate
from pathlib import Path
from random import Random

from optimizer.errors import StorageError
from optimizer.graders.reading.patterns import compiled
from optimizer.types import Completion, Failed, Outcome, Request
from serving.contracts.refusals import declined
from serving.contracts.streaming import Piece, in_one_piece
from serving.engines import EngineDied
from serving.settings.script import PLACE, Fate, Reply, Rule, Script

NO_RULE = (
    "The script has no rule for this request; add one without `match` at its end, to take all "
    "others."
)


class ScriptedEngine:
    """A language model's interface over a script.

    It holds no state but the log: safe to replicate.

    Raises:
        StorageError: If the log cannot be written.
    """

    def __init__(
        self,
        name: str,
        script: Script,
        seed: int = 0,
        log: Path | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Compile the script; `seconds` is the duration of each call."""
        self._name = name
        self._script = script
        self._pattern_by_rule = [compiled(rule.match, lines=True) for rule in script.rules]
        self._fault_ends = list(accumulate(fault.share for fault in script.faults))
        self._seed = seed
        self._log = log
        self._seconds = seconds
        self._closed = False
        self._write([])

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        Raises:
            EngineDied: If it is closed.
        """
        await self.check_health()
        if self._seconds:
            await asyncio.sleep(self._seconds)
        played = [self._play(request) for request in requests]
        self._write([line for _, line in played])
        return [outcome for outcome, _ in played]

    def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the answer in one piece, and its outcome."""
        return in_one_piece(self, request)

    async def check_health(self) -> None:
        """Check that it is not closed."""
        if self._closed:
            raise EngineDied(f"The scripted model {self._name} is closed.")

    def close(self) -> None:
        """Close it; there is nothing to release."""
        self._closed = True

    def _play(self, request: Request) -> tuple[Outcome, dict[str, str]]:
        """Return the outcome, and its line of the log."""
        chance = self._chance(request)
        draw, drawn = f"{chance.getrandbits(24):06x}", chance.random()
        value_by_place = {"draw": draw, "sample": str(request.sample)}
        for fault, ends_at in zip(self._script.faults, self._fault_ends, strict=True):
            if drawn < ends_at:
                return _outcome(fault, value_by_place, request), _line(
                    "fault", fault.name, fault.fate
                )
        for number, (rule, pattern) in enumerate(
            zip(self._script.rules, self._pattern_by_rule, strict=True), 1
        ):
            if (caught := pattern.search(_searched(request, rule))) is not None:
                (reply,) = chance.choices(rule.replies, [reply.weight for reply in rule.replies])
                line = _line(rule.name or f"rule {number}", reply.name, reply.fate)
                return _outcome(reply, caught | value_by_place, request), line
        return Failed("infrastructure", NO_RULE), _line("none", "", "failure")

    def _chance(self, request: Request) -> Random:
        content = json.dumps(
            [self._seed, request.sample, *([one.role, one.content] for one in request.messages)]
        )
        return Random(hashlib.sha256(content.encode()).digest())

    def _write(self, lines: Sequence[dict[str, str]]) -> None:
        if self._log is None:
            return
        try:
            if self._log.exists() and not self._log.is_file():
                # A FIFO would be waited for without end.
                raise OSError(EINVAL, "it is no ordinary file")
            # One write for each call, since replicas append to one file.
            with self._log.open("a", encoding="utf-8") as log:
                log.write(
                    "".join(f"{json.dumps({'model': self._name, **line})}\n" for line in lines)
                )
        except OSError as problem:
            raise StorageError(
                f"The log {self._log} of {self._name} cannot be written: "
                f"{problem.strerror or problem}."
            ) from None


def _searched(request: Request, rule: Rule) -> str:
    contents = [message.content for message in request.messages]
    return {"anywhere": "\n".join(contents), "first": contents[0], "last": contents[-1]}[rule.where]


def _outcome(reply: Reply, value_by_place: dict[str, str], request: Request) -> Outcome:
    if reply.failure is not None:
        return Failed("infrastructure", reply.failure)
    if reply.refusal is not None:
        if reply.finish == "error":
            return Failed("refused", reply.refusal)
        return declined(reply.refusal, "message" if reply.finish == "stop" else "filter")
    text = PLACE.sub(lambda place: value_by_place[place[1]], reply.text or "")
    words = sum(len(message.content.split()) for message in request.messages)
    return Completion(text, reply.finish == "length", words, len(text.split()))


def _line(rule: str, name: str, fate: Fate) -> dict[str, str]:
    return {"rule": rule, "reply": name or fate, "fate": fate}
