"""OpenAI's grader objects, as its evals and fine-tuning jobs have them, read as graders of ours.

`{type: string_check, ...}`, `text_similarity`, `score_model`, `label_model` and `multi`, with
templates of `{{ item.x }}`, `{{ sample.output_text }}` and `{{ sample.output_json.x }}`
(https://platform.openai.com/docs/api-reference/graders). What cannot be done here is refused with a
sentence, and never left out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from optimizer.errors import SettingsError, shortened

TYPE = "type"
_METRICS = {"fuzzy_match": "fuzzy"}
_NO_METRICS = ("cosine", "gleu", "meteor")
_NAME = re.compile(r"[A-Za-z_]\w{0,63}")
Settings = dict[str, Any]


def is_object(given: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a grader object of OpenAI's."""
    return TYPE in given and "kind" not in given


def as_settings(given: Mapping[str, Any]) -> tuple[str, Settings]:
    """Return the kind and the settings of the grader that an object means.

    Raises:
        SettingsError: It is no such object, or it cannot be done here.
    """
    kind = given.get(TYPE)
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise SettingsError(
            f"There is no grader of the type {shortened(str(kind), 60)!r}; known are: "
            f"{', '.join(_READERS)}."
        )
    return read(given)


def _known(given: Mapping[str, Any], *names: str) -> Settings:
    """Return the named entries; the object may have no others."""
    for key in given:
        if key not in (*names, TYPE, "name"):
            raise SettingsError(
                f"A grader of the type {given[TYPE]} has no {shortened(str(key), 60)!r}; known "
                f"are: {', '.join(names)}."
            )
    return {name: given[name] for name in names if name in given}


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise SettingsError(f"A grader of the type {given[TYPE]} needs the text {name!r}.")
    return value


def _string_check(given: Mapping[str, Any]) -> tuple[str, Settings]:
    _known(given, "input", "operation", "reference")
    return "string_check", {
        name: _text(given, name) for name in ("operation", "input", "reference")
    }


def _text_similarity(given: Mapping[str, Any]) -> tuple[str, Settings]:
    found = _known(given, "input", "reference", "evaluation_metric", "pass_threshold")
    metric = _text(given, "evaluation_metric")
    if metric in _NO_METRICS:
        raise SettingsError(
            f"The metric {metric} of text_similarity is not known here; take rouge_l, bleu or "
            "fuzzy_match."
        )
    settings = {"metric": _METRICS.get(metric, metric)}
    settings |= {name: _text(given, name) for name in ("input", "reference")}
    if found.get("pass_threshold") is not None:
        settings["pass_threshold"] = found["pass_threshold"]
    return "text_similarity", settings


def _judge(given: Mapping[str, Any]) -> Settings:
    """Return the settings that both kinds of judges have."""
    settings: Settings = {"messages": [_message(one) for one in _listed(given, "input")]}
    # The bare name of a model is that of a model of OpenAI's.
    model = _text(given, "model")
    settings["model"] = model if ":" in model else f"openai:{model}"
    return settings


def _label_model(given: Mapping[str, Any]) -> tuple[str, Settings]:
    found = _known(given, "input", "labels", "passing_labels", "model", "sampling_params")
    labels = {name: found.get(name) for name in ("labels", "passing_labels")}
    return "label_model", labels | _judge(given) | _sampling(found.get("sampling_params"))


def _score_model(given: Mapping[str, Any]) -> tuple[str, Settings]:
    found = _known(given, "input", "model", "range", "sampling_params", "pass_threshold")
    settings = _judge(given) | _sampling(found.get("sampling_params"))
    if found.get("range") is not None:
        settings["scale"] = found["range"]
    if found.get("pass_threshold") is not None:
        settings["pass_threshold"] = found["pass_threshold"]
    return "score_model", settings


def _sampling(given: Any) -> Settings:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SettingsError("The sampling_params of a grader are a mapping.")
    known = {"temperature": "temperature", "max_completions_tokens": "max_tokens"}
    for name in given:
        if name not in known and given[name] is not None:
            raise SettingsError(
                f"The sampling_params of a grader may have {' and '.join(known)} here, and not "
                f"{shortened(str(name), 60)}."
            )
    return {ours: given[theirs] for theirs, ours in known.items() if given.get(theirs) is not None}


def _message(given: Any) -> Settings:
    if not isinstance(given, Mapping):
        raise SettingsError("The input of a grader is a list of messages with role and content.")
    return {"role": given.get("role"), "content": _content(given.get("content"))}


def _content(given: Any) -> str:
    """Return the text of a message: a text, a part with a text, or a list of such."""
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        return "\n".join(map(_content, given))
    if isinstance(given, Mapping) and isinstance(given.get("text"), str):
        return str(given["text"])
    raise SettingsError("The messages of a grader may hold texts; images and sound are not shown.")


def _listed(given: Mapping[str, Any], name: str) -> list[Any]:
    value = given.get(name)
    if not isinstance(value, list):
        raise SettingsError(f"A grader of the type {given[TYPE]} needs the list {name!r}.")
    return value


def _multi(given: Mapping[str, Any]) -> tuple[str, Settings]:
    _known(given, "graders", "calculate_output")
    graders = given.get("graders")
    if not isinstance(graders, Mapping) or not all(map(_is_name, graders)):
        raise SettingsError(
            "A grader of the type multi needs graders, a mapping from names to graders."
        )
    if is_object(graders):  # the SDK's types allow one alone
        graders = {str(graders.get("name", "grader")): graders}
    return "multi", {"parts": dict(graders), "calculate_output": _text(given, "calculate_output")}


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _python(given: Mapping[str, Any]) -> tuple[str, Settings]:
    raise SettingsError(
        "The source of a python grader is not run here: put a function (example, answer) into a "
        "file, list that under code, and name it as {kind: python, function: 'module:function'}."
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], tuple[str, Settings]]] = {
    "string_check": _string_check,
    "text_similarity": _text_similarity,
    "score_model": _score_model,
    "label_model": _label_model,
    "multi": _multi,
    "python": _python,
}
