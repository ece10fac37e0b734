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
from optimizer.graders.contains import Contains
from optimizer.graders.exact import Exact
from optimizer.graders.imported import as_grader_kind
from optimizer.graders.json_fields import JSONFields
from optimizer.graders.judging.judge import Judge, Judging
from optimizer.graders.label_model import LabelModel
from optimizer.graders.multi import Multi
from optimizer.graders.number import Number
from optimizer.graders.openai_objects import as_settings, is_object
from optimizer.graders.python import FUNCTIONS, Python
from optimizer.graders.regex import Regex
from optimizer.graders.score_model import ScoreModel
from optimizer.graders.string_check import StringCheck
from optimizer.graders.text_similarity import TextSimilarity
from optimizer.graders.token_f1 import TokenF1
from optimizer.prompt import ANSWER_LABEL, Prompt
from optimizer.registry import Registry

GraderKind = Callable[..., Grader]
"""Makes a grader of its settings, which are keyword arguments: a frozen dataclass, or a function
of somebody else's in its cover (optimizer.graders.imported).
"""
KIND, PYTHON, MULTI = "kind", "python", "multi"
JUDGES = ("label_model", "score_model")
"""The kinds that call a model."""
_TABLE: dict[str, GraderKind] = {
    "exact": Exact,
    "choice": Choice,
    "number": Number,
    "regex": Regex,
    "contains": Contains,
    "json": JSONFields,
    "token_f1": TokenF1,
    "text_similarity": TextSimilarity,
    "python": Python,
    "multi": Multi,
    "label_model": LabelModel,
    "score_model": ScoreModel,
    "string_check": StringCheck,
}
GRADERS: Registry[GraderKind] = Registry("scorer", _TABLE, "promptray.graders", as_grader_kind)
"""Those of the table, and functions `(response, example) -> Score` that come from elsewhere."""


_NEED_TARGETS = ("exact", "choice", "number", "regex", "contains", "token_f1")


@dataclass(frozen=True)
class GraderSpec:
    """A grader by its name, with its settings: pure data, which any process can build it from."""

    name: str
    """A name in GRADERS."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keyword arguments of its kind, as JSON values."""

    def build(self, judging: Judging | None = None) -> Grader:
        """Return the grader.

        Args:
            judging: What it grades with, where it or a part of it calls a model. None: such a
                grader can be looked at, and cannot grade.

        Raises:
            SettingsError: The name is unknown in this process, or a setting is impossible.
        """
        if self.name not in GRADERS:
            raise unknown_name(GRADERS.noun, self.name, GRADERS)
        parts = {name: part.build(judging) for name, part in self.parts.items()}
        settings = {**self.settings, **({"parts": parts} if parts else {})}
        try:
            grader = GRADERS[self.name](**settings)
        except TypeError as problem:
            raise SettingsError(f"Of the grader {self.name!r}: {problem}.") from None
        return grader.bound(judging) if isinstance(grader, Judge) else grader

    @property
    def needs_target(self) -> bool:
        """Return whether every example must have a target, as far as the kind alone tells.

        Other kinds say of each example whether they can grade answers to it.
        """
        return self.name in _NEED_TARGETS or any(part.needs_target for part in self.parts.values())

    def judge_models(self) -> list[Any]:
        """Return the `model` of each judge among it and its parts; None stands for the default."""
        own = [self.settings.get("model")] if self.name in JUDGES else []
        return own + [model for part in self.parts.values() for model in part.judge_models()]

    @property
    def parts(self) -> dict[str, "GraderSpec"]:
        """Return the parts of a multi grader by their names; empty for any other.

        Raises:
            SettingsError: A part is neither a name nor a mapping with its kind.
        """
        given = self.settings.get("parts") if self.name == MULTI else None
        if not isinstance(given, Mapping):
            return {}
        return {str(name): as_spec(part) for name, part in given.items()}

    def imports(self) -> list[tuple[Registry[Any], str]]:
        """Return the registry and the name of all that it needs: its kind, functions, parts."""
        found: list[tuple[Registry[Any], str]] = [(GRADERS, self.name)]
        function = self.settings.get("function")
        if self.name == PYTHON and isinstance(function, str):
            found.append((FUNCTIONS, function))
        for part in self.parts.values():
            found += part.imports()
        return found

    def to_json(self) -> str | dict[str, Any]:
        """Return the bare name where there are no settings, else a mapping with the key `kind`."""
        return {KIND: self.name, **self.settings} if self.settings else self.name


def as_spec(given: "str | Mapping[str, Any] | GraderSpec") -> GraderSpec:
    """Return the spec of a grader that is given in one of three ways.

    It may be its name, a mapping with its kind and its settings, or a grader object of OpenAI's.

    Raises:
        SettingsError: It is none of these.
    """
    if isinstance(given, GraderSpec):
        return given
    if isinstance(given, str):
        return GraderSpec(given)
    if isinstance(given, Mapping) and is_object(given):
        return GraderSpec(*as_settings(given))
    name = given.get(KIND) if isinstance(given, Mapping) else None
    if not isinstance(name, str):
        raise SettingsError(
            "A grader is a name, such as exact, or a mapping with its kind and its settings, such "
            f"as {{kind: exact}}; known kinds are: {', '.join(sorted(GRADERS.table))}."
        )
    return GraderSpec(name, {key: value for key, value in given.items() if key != KIND})


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
