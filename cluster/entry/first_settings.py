"""Write the first settings of an experiment on data: a commented YAML file."""

import json

from cluster.config.labels import slug
from cluster.entry.guess import Guess
from cluster.entry.reading import STRATEGY

MODEL = "openai:gpt-5-mini"
"""The model of a file for which none was named: it needs OPENAI_API_KEY."""
_MOST_LABELS = 12


def first_settings(source: str, title: str, found: Guess, model: str | None) -> str:
    """Return the text of a settings file that runs as it is.

    Args:
        source: The data's path, as the caller has it.
        title: The experiment's name.
        found: What was guessed of the data.
        model: The model that the prompt is for; None: MODEL.
    """
    columns = {"input": found.columns.input, "target": found.columns.target}
    named = ", ".join(f"{part}: {_text(column)}" for part, column in columns.items() if column)
    target = _text(model or MODEL)
    lines = [
        f"# What `promptray init` has guessed from the {found.examples} rows of {_line(source)}. "
        "Change what is wrong.",
        "# What can it cost, and can a better prompt pay?   promptray check FILE",
        "# Run it:                                          promptray run FILE",
        f"name: {slug(title)}",
        "tasks:",
        f"  - source: {_text(source)}",
        *([f"    columns: {{{named}}}  # {_line(found.reasons['columns'])}"] if named else []),
        f"    grader: {found.grader}  # {_line(found.reasons['grader'])}",
        *_labels(found),
        *_graders(found),
        "    # What the task is about, for the model that writes prompts:",
        "    # description: Sort support tickets into departments.",
        "    # Your own prompt, to start from; parts of it that must stay word for word:",
        "    # baseline: {file: system.md}",
        "    # keep: [Never promise a refund.]",
        f"sizes: auto  # {_line(found.reasons['sizes'])}",
        f"target: {target}  # the model that the prompt is for",
        f"optimizer: {target}  # the model that writes prompts; a stronger one is better",
        "# For a budget in money write the models with what a million tokens cost:",
        "# target: {kind: openai, model: NAME, "
        "prices: {prompt_per_million: 0.15, completion_per_million: 0.6}}",
        "# budget: {total: {money: 5}}",
        f"strategies: [{STRATEGY}]  # `promptray list` shows all; several are compared",
        "seeds: [0]",
        "",
    ]
    return "\n".join(lines)


def guessed_lines(found: Guess) -> list[str]:
    """Return a line for people on each setting that was guessed, with the reason."""
    columns = f"{found.columns.input or 'chats'} -> {found.columns.target or 'last answer'}"
    labels = f" ({_listed(found.labels)})" if found.labels else ""
    return [
        f"columns: {columns}, as {found.reasons['columns']}",
        f"grader: {found.grader}, as {found.reasons['grader']}{labels}",
        f"sizes: auto, as {found.reasons['sizes']}",
    ]


def _labels(found: Guess) -> list[str]:
    return [f"    # Labels: {_line(_listed(found.labels))}"] if found.labels else []


def _graders(found: Guess) -> list[str]:
    if found.grader != "text_similarity":
        return []
    return [
        "    # A model can judge texts by what matters to you, which text_similarity cannot:",
        "    # grader: {kind: score_model, rubric: The summary names cause and effect.}",
    ]


def _listed(labels: tuple[str, ...]) -> str:
    more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
    return ", ".join(labels[:_MOST_LABELS]) + more


def _text(text: str) -> str:
    """Return a text as YAML has it: JSON's strings are YAML."""
    return json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
    """Return a text that cannot end the comment that it stands in."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
