"""A script of replies: which request gets which, with what chances.

It is strict, and read from a file; this module plays nothing itself.

A YAML file has `rules`, and
`faults` where some of the requests fail whatever their content; in a `.jsonl` file each line is a
rule. The first rule that matches a request answers it, by one of its replies, drawn by their
weights.

    faults:
    - {share: 0.05, refusal: I cannot help with that.}
    - {share: 0.05, text: Certainly! Let me begin by, finish: length}
    rules:
    - name: capital                # for the log
      # A regular expression; without one, the rule matches every request.
      match: What is the capital of (?P<land>[A-Za-z]+)
      where: last                  # the message that it is searched in: first, last, or anywhere
      replies:
      - {text: "Nobody knows {{land}}. Answer: none", weight: 3}
      - "Answer: {{draw}}"         # the same as {text: ...}
"""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from optimizer.errors import PromptrayError, SettingsError
from optimizer.graders.reading.patterns import Unusable, compiled
from optimizer.paths import expanded
from serving.settings.validation import Strict, first_fault
from serving.settings.yaml_text import YAMLFault, read_yaml
from serving.storage.regular_files import read_regular

MOST_BYTES = 4 * 2**20
"""Maximum size of a script, which travels to the replicas with the settings [ours]."""
OWN_PLACES = frozenset({"draw", "sample"})
"""Placeholders of a text beside the groups of its rule's match: six hex digits that depend on
the request, and its sample number.
"""
PLACE = re.compile(r"\{\{(\w+)\}\}")
Fate = Literal["text", "empty", "length", "refusal", "content_filter", "error", "failure"]
"""The kind of reply that was played, for the log: a whole text; none; one that ends at
max_tokens; a refusal as the message, as a content filter's mark, as an error; no answer at
all.
"""


class Reply(Strict):
    """One reply: a `text`, a `refusal` or a `failure`."""

    name: str = ""
    """Name in the log; "" means the fate's."""
    text: str | None = None
    refusal: str | None = Field(None, min_length=1)
    """The reason why the model will not answer."""
    failure: str | None = Field(None, min_length=1)
    """The reason why there is no answer, as if the infrastructure had failed: callers retry, and
    get the same.
    """
    finish: Literal["stop", "length", "content_filter", "error"] = "stop"
    """With a text: `stop`, or `length` as if it had reached max_tokens. With a refusal: `stop`
    as the reply's message, `content_filter` as that mark on a reply without text, `error` as
    an HTTP error (400) in place of a reply.
    """
    weight: float = Field(1.0, gt=0, le=1e9, allow_inf_nan=False)
    """Its chance, in proportion to the other replies of its rule."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("text", "refusal", "failure") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a reply has one of text, refusal and failure, not {' and '.join(given) or 'none'}"
            )
        allowed = {
            "text": ("stop", "length"),
            "refusal": ("stop", "content_filter", "error"),
            "failure": ("stop",),
        }[given[0]]
        if self.finish not in allowed:
            raise ValueError(
                f"the finish of a {given[0]} is {' or '.join(allowed)}, not {self.finish}"
            )
        return self

    @property
    def fate(self) -> Fate:
        """Return the kind of this reply."""
        if self.failure is not None:
            return "failure"
        if self.refusal is not None:
            return (
                "refusal"
                if self.finish == "stop"
                else "content_filter"
                if self.finish == "content_filter"
                else "error"
            )
        return (
            "length"
            if self.finish == "length"
            else "text"
            if (self.text or "").strip()
            else "empty"
        )


class Fault(Reply):
    """A reply to some of all requests, before any rule is tried."""

    share: float = Field(ge=0, le=1)
    """Share of the requests. `weight` is not used here."""


def _reply(given: Any) -> Any:
    return {"text": given} if isinstance(given, str) else given


class Rule(Strict):
    """A pattern of requests, and the replies to them."""

    name: str = ""
    """Name in the log; "" means "rule 1", by its position."""
    match: str = ""
    """A regular expression that is searched for, `^` and `$` at every line; see
    optimizer.graders.reading.patterns for what it may hold.
    """
    where: Literal["anywhere", "first", "last"] = "anywhere"
    """The messages that it is searched in: all, each beginning on a line of its own, or one of
    them.
    """
    replies: Annotated[tuple[Annotated[Reply, BeforeValidator(_reply)], ...], Field(min_length=1)]

    @field_validator("match")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        try:
            compiled(pattern, lines=True)
        except Unusable as problem:
            # Nothing of the file is quoted.
            raise ValueError(f"the pattern {str(problem).partition(':')[0]}") from None
        return pattern

    @model_validator(mode="after")
    def _has_what_is_asked_for(self) -> Self:
        known = {*compiled(self.match, lines=True).names, *OWN_PLACES}
        for reply in self.replies:
            _check_places(reply, known)
        return self


class Script(Strict):
    """A whole script; make one with `read`."""

    faults: tuple[Fault, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    _revision: str = PrivateAttr("")

    @property
    def revision(self) -> str:
        """Return eight hex digits of the file's hash."""
        return self._revision

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if (total := sum(fault.share for fault in self.faults)) > 1 + 1e-9:
            raise ValueError(f"the shares of all faults are {total:g} together, more than 1")
        for fault in self.faults:
            _check_places(fault, OWN_PLACES)
        return self

    @classmethod
    def read(cls, file: Path) -> "Script":
        """Read the script in a file.

        Raises:
            SettingsError: If it cannot be read, is too long, or has a mistake.
        """
        try:
            data = read_regular(expanded(file))
        except OSError as problem:
            raise SettingsError(
                f"The script {file} cannot be read: {problem.strerror or problem}."
            ) from None
        if len(data) > MOST_BYTES:
            raise SettingsError(
                f"The script {file} has {len(data)} bytes, more than the {MOST_BYTES} that may "
                "travel."
            )
        try:
            script = cls.model_validate(_content(file, data))
        except ValidationError as problem:
            raise SettingsError(f"The script {file}: {_fault(problem)}") from None
        script._revision = sha256(data).hexdigest()[:8]
        return script


def _content(file: Path, data: bytes) -> Mapping[str, Any]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"The script {file} is not UTF-8 text.") from None
    if file.suffix == ".jsonl":
        return {"rules": _rules(file, text)}
    try:
        content = read_yaml(text)
    except YAMLFault as problem:
        raise SettingsError(f"The script {file} {problem.discreet}.") from None
    if not isinstance(content, Mapping):
        raise SettingsError(
            f"The script {file} has no rules; write `rules:` and below it at least one with "
            "`replies:`."
        )
    return content


def _rules(file: Path, text: str) -> list[Any]:
    """Return one rule for each line."""
    rules = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rules += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as problem:
            place = f"line {number}, column {getattr(problem, 'colno', 1)}"
            raise SettingsError(
                f"The script {file} has a line that is not JSON ({place})."
            ) from None
    return rules


def _fault(problem: ValidationError) -> str:
    """Return the first fault by its position.

    Nothing of the file is quoted: whoever named it need not be allowed to read it.
    """
    fault = first_fault(problem)
    kinds: dict[str, type[Strict]] = {"": Script, "rules": Rule, "replies": Reply, "faults": Fault}
    known = [name for kind in kinds.values() for name in kind.model_fields]
    loc = [part for part in fault.loc if isinstance(part, int) or part in known]
    place = ".".join(map(str, loc))
    if fault.kind == "missing":
        return f"The setting {place} is missing; add it."
    if isinstance(fault.cause, PromptrayError):
        kind = kinds.get(next((str(part) for part in reversed(loc) if part in kinds), ""), Script)
        return (
            f"{place or 'It'} has a setting that is not known; known are: "
            f"{', '.join(kind.model_fields)}."
        )
    return f"The setting {place} is wrong: {fault.text}."


def _check_places(reply: Reply, known: frozenset[str] | set[str]) -> None:
    for name in PLACE.findall(reply.text or ""):
        if name not in known:
            names = ", ".join(sorted(known))
            raise ValueError(
                f"a text asks for {{{{{name}}}}}, which is not caught by its match; known are "
                f"{names}"
            )
