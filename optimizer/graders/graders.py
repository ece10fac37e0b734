"""The table of graders: every kind by its name, and how one is built from its settings.

The answer that a response gives is read in optimizer.graders.reading; each grader decides what of
it is an answer of its kind, and whether there is none. A grader without settings is named by a
text; one with settings is a GraderSpec. Knows no model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optimizer.errors import SettingsError, unknown_name
from optimizer.grader import Grader
from optimizer.graders.choice import Choice
from optimizer.graders.exact import Exact
from optimizer.graders.imported import as_grader_kind
from optimizer.graders.number import Number
from optimizer.graders.regex import Regex
from optimizer.prompt import ANSWER_LABEL, Prompt
from optimizer.registry import Registry

GraderKind = Callable[..., Grader]
"""Makes a grader of its settings, which are keyword arguments: a frozen dataclass, or a function
of somebody else's in its cover (optimizer.graders.imported).
"""
_TABLE: dict[str, GraderKind] = {
    "exact": Exact,
    "choice": Choice,
    "number": Number,
    "regex": Regex,
}
GRADERS: Registry[GraderKind] = Registry("scorer", _TABLE, "promptray.graders", as_grader_kind)
"""Those of the table, and functions `(response, example) -> Score` that come from elsewhere."""


@dataclass(frozen=True)
class GraderSpec:
    """A grader by its name, with its settings: pure data, which any process can build it from."""

    name: str
    """A name in GRADERS."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keyword arguments of its kind, as JSON values."""

    def build(self) -> Grader:
        """Return the grader.

        Raises:
            SettingsError: The name is unknown in this process, or a setting is impossible.
        """
        if self.name not in GRADERS:
            raise unknown_name(GRADERS.noun, self.name, GRADERS)
        try:
            return GRADERS[self.name](**self.settings)
        except TypeError as problem:
            raise SettingsError(f"Of the grader {self.name!r}: {problem}.") from None

    def to_json(self) -> str | dict[str, Any]:
        """Return the bare name where there are no settings, else a mapping with the key `kind`."""
        return {"kind": self.name, **self.settings} if self.settings else self.name


def as_spec(given: "str | GraderSpec") -> GraderSpec:
    """Return the spec of a grader that may be given by its name."""
    return GraderSpec(given) if isinstance(given, str) else given


def grader_named(name: str) -> Grader:
    """Return the grader of a name, with default settings.

    Raises:
        SettingsError: The name is unknown in this process.
    """
    return GraderSpec(name).build()


def with_answer_line(prompt: Prompt, grader: Grader) -> Prompt | None:
    """Return the prompt with the answer line added.

    Returns:
        None where the prompt has one already, or the grader asks for none.
    """
    line = grader.answer_line
    if not line or ANSWER_LABEL.casefold() in prompt.text().casefold():
        return None
    return replace(prompt, closing="\n".join(part for part in (prompt.closing, line) if part))
