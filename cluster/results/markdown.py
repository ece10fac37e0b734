"""A best prompt as a page of Markdown: what it is, how it did, how it came about.

Texts stand in fences, or are escaped.
"""

import re
from collections.abc import Sequence

from cluster.analysis.form_control import form_sentence
from cluster.analysis.lineage import Refinement, lineage
from cluster.analysis.winner import dev_items
from cluster.analysis.worked_examples import parts_of
from cluster.text.formatting import (
    MISSING,
    format_status,
    format_verdict,
    interval,
    interval_name,
    plural,
    share,
)
from cluster.trial.result import TrialResult
from optimizer.prompt import Demonstration
from optimizer.statistics import Confusion


def best_prompt_page(result: TrialResult) -> str:
    """Return the content of `best/TRIAL.md`.

    Raises:
        ValueError: The trial has no best prompt.
    """
    if result.best is None:
        raise ValueError(f"Trial {result.trial} has no best prompt.")
    prompt = result.best.prompt
    parts = [
        f"# {line(result.trial)}",
        _facts(result),
        f'    promptray apply best/{result.trial}.json --input "..."',
        "## The prompt",
        fenced(prompt.text()),
    ]
    if prompt.demonstrations:
        parts += [
            "## Demonstrations",
            *(_demonstration(*numbered) for numbered in enumerate(prompt.demonstrations, 1)),
        ]
    if result.test_classes and result.seed_prompt_test_classes:
        parts += [
            "## Test answers by class",
            *_classes(result.seed_prompt_test_classes, result.test_classes),
        ]
    parts += [
        "## How it came about",
        *(_refinement(place, step) for place, step in enumerate(lineage(result), 1)),
    ]
    parts += ["## The baseline", fenced(result.seed_prompt.text())]
    return "\n\n".join(parts) + "\n"


def fenced(text: str) -> str:
    """Return the text in a fence that is longer than any run of backticks in it."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def line(text: str) -> str:
    """Return the text on one line, with what Markdown or HTML would interpret escaped."""
    return re.sub(r"([\\`*_\[\]<>&|#~$])", r"\\\1", " ".join(text.split()))


def _facts(result: TrialResult) -> str:
    facts = [
        f"Task: {line(result.task)}",
        f"Target model: {line(result.target)}",
        f"Optimizer model: {line(result.optimizer)}"
        + (" (a stand-in for a large model)" if result.stand_in else ""),
        f"Strategy: {line(result.strategy)}, selection {line(result.selection)}, seed "
        f"{result.seed}",
        _tested(result),
        *_macro_f1(result),
        *([f"Form: {form}"] if (form := form_sentence(result)) else []),
        f"Dev accuracy: {share(result.dev_accuracy)}{_on(dev_items(result))}; steps followed: "
        f"{share(result.adherence)}",
    ]
    if result.ending:
        facts.append(f"The search: {result.ending}")
    if result.status not in ("finished", "budget"):
        facts.append(
            f"The trial did not run to its end ({format_status(result.status)}): this is the best "
            "prompt up to then"
        )
    return "\n".join(f"- {fact}" for fact in facts)


def _tested(result: TrialResult) -> str:
    """Format the test accuracy, its items, and the baseline's accuracy on the same items."""
    if result.test_accuracy is None:
        return "Test accuracy: not tested"
    return (
        f"Test accuracy: {share(result.test_accuracy)} ({interval_name(result.interval_kind)} "
        f"{interval(result.test_low, result.test_high)})"
        f"{_on(result.test_items)}; baseline {share(result.seed_prompt_test_accuracy)} on the same "
        "items; verdict: "
        f"{_verdict(result)}"
    )


def _macro_f1(result: TrialResult) -> list[str]:
    before, after = result.seed_prompt_test_classes, result.test_classes
    if before is None or after is None:
        return []
    return [f"Macro-F1: {share(after.macro_f1)}; baseline {share(before.macro_f1)}"]


def _classes(before: Confusion, after: Confusion) -> list[str]:
    """Format the figures of each class, and how the best prompt's answers were spread."""
    figures = [
        [
            line(one.name),
            str(one.items),
            share(other.accuracy),
            share(one.accuracy),
            share(other.f1),
            share(one.f1),
        ]
        for other, one in zip(before.by_class, after.by_class, strict=True)
    ]
    heads = ["class", "items", "accuracy, baseline", "accuracy", "F1, baseline", "F1"]
    spread = [
        [line(name), *(str(items or MISSING) for items in row)]
        for name, row in zip(after.classes, after.counts, strict=True)
    ]
    return [
        _table(heads, figures),
        "The best prompt's answers: a row is the target, a column the answer.",
        _table(["target", *map(line, after.answers)], spread),
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _verdict(result: TrialResult) -> str:
    if result.best_is_baseline:
        return "the best prompt is the baseline itself: no candidate was better on dev"
    return format_verdict(result.verdict) or "none"


def _on(items: int) -> str:
    return f" on {plural(items, 'item')}" if items else ""


def _demonstration(number: int, shown: Demonstration) -> str:
    """Format the input, each step and the answer under their names, with their own line breaks."""
    parts = [
        ("Input", shown.input),
        *((part.label, part.text) for part in parts_of(shown.response)),
    ]
    return "\n\n".join(
        [
            f"### Demonstration {number}",
            *(f"**{label}**\n\n{fenced(text)}" for label, text in parts),
        ]
    )


def _refinement(place: int, refinement: Refinement) -> str:
    candidate, standing = refinement.candidate, refinement.standing
    measured = (
        f", dev accuracy {share(standing.accuracy)} on {plural(standing.items, 'item')}"
        if standing is not None
        else ""
    )
    measured += ", incomplete" if standing is not None and standing.incomplete else ""
    parts = [f"{place}. Round {candidate.round}, {line(candidate.operator)}{measured}"]
    if refinement.failing_step is not None:
        parts.append(f"   - Failing step {candidate.changed_step}: {line(refinement.failing_step)}")
    if candidate.reflection:
        parts.append(f"   - Why: {line(candidate.reflection)}")
    return "\n".join(parts)
