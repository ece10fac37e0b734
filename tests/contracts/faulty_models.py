"""Two scripts for a server that behaves badly in every way, and a task for them.

Each reply is named by the kind that it is to be counted under, so that the server's log says what
the counts have to be.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

PROBE = "probe"
"""The name of what a client hears that only asks whether the model is there."""
TERMS = [(number, 3 + number % 5) for number in range(40)]
TARGET_FAULTS: list[dict[str, Any]] = [
    {"share": 0.04, "name": "refused", "refusal": "I will not add."},
    {"share": 0.03, "name": "refused", "refusal": "Filtered.", "finish": "content_filter"},
    {"share": 0.03, "name": "refused", "refusal": "The policy forbids sums.", "finish": "error"},
    {"share": 0.04, "name": "unparsable", "text": ""},
    {"share": 0.04, "name": "unparsable", "text": "I would rather not say."},
    {
        "share": 0.10,
        "name": "truncated",
        "text": "Step 1: let me see, that is 1 and",
        "finish": "length",
    },
    {"share": 0.02, "name": "truncated", "text": "", "finish": "length"},
    {"share": 0.02, "name": "missing", "failure": "The wire is cut."},
]
OPTIMIZER_FAULTS: list[dict[str, Any]] = [
    {"share": 0.05, "name": "refused", "refusal": "I write no prompts."},
    {"share": 0.03, "name": "refused", "refusal": "Filtered.", "finish": "content_filter"},
    {"share": 0.03, "name": "refused", "refusal": "The policy forbids prompts.", "finish": "error"},
    {"share": 0.06, "name": "empty", "text": ""},
    {"share": 0.06, "name": "unreadable", "text": "Certainly! Count well."},
    {"share": 0.06, "name": "truncated", "text": "<prompt>Count we", "finish": "length"},
    {"share": 0.03, "name": "truncated", "text": "", "finish": "length"},
    {"share": 0.02, "name": "failed", "failure": "The wire is cut."},
]
FORM_BY_OPERATOR = {
    "criticise(_unseen)?": "<reason>It never says {{draw}}.</reason>",
    "summarise": "<causes>\n- It never says {{draw}}.\n- It is vague.\n</causes>",
    "decompose": "<steps>\n1. Read the question. [text]\n2. Add, thinking of {{draw}}. "
    "[text]\n</steps>",
    "revise": "<steps>\n1. Read the question. [text]\n2. Add, thinking of {{draw}}. "
    "[text]\n</steps>",
    "refine": "<steps>\n- Add slowly, thinking of {{draw}}. [text]\n</steps>",
    "localise": "<step>1</step><kind>skipped</kind><evidence>There is no line for it.</evidence>",
}
ANY_PROMPT = "<prompt>Add the numbers, thinking of {{draw}}.</prompt>"


def write_task(file: Path) -> Path:
    """Sums to be done, as a .jsonl file."""
    lines = [
        {"input": f"How much is {one} + {other}?", "target": str(one + other)}
        for one, other in TERMS
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def write_target(file: Path) -> Path:
    """A target model that is right on five sums of eight, where it answers."""
    return _write(file, TARGET_FAULTS, [_sum(one, other) for one, other in TERMS])


def write_optimizer(file: Path) -> Path:
    """An optimizer model that knows the form of every operator, and keeps to it where nothing goes
    wrong.
    """
    traced = (
        r"^Operator: "
        r"demonstrate$[^\0]*<forms>\n(?P<trace>[^<]*)</forms>[^\0]*<gold>(?P<gold>\d+)</gold>"
    )
    wrong = {
        "name": "unreadable",
        "text": "<response>\n{{trace}}Answer: none\n</response>",
        "weight": 0.1,
    }
    demonstrate = {
        "match": traced,
        "replies": [*_readable("<response>\n{{trace}}Answer: {{gold}}\n</response>"), wrong],
    }
    known = [
        {"match": f"^Operator: {operator}$", "where": "first", "replies": _readable(form)}
        for operator, form in FORM_BY_OPERATOR.items()
    ]
    return _write(file, OPTIMIZER_FAULTS, [demonstrate, *known, {"replies": _readable(ANY_PROMPT)}])


def _sum(one: int, other: int) -> dict[str, Any]:
    steps, right = "Step 1: read\nStep 2: added\nAnswer: ", one + other
    return {
        "match": f"^{re.escape(f'How much is {one} + {other}?')}",
        "where": "last",
        "replies": [
            {"name": "right", "text": f"{steps}{right}", "weight": 4},
            {
                "name": "right",
                "text": f"{steps}{right}\nThat was",
                "weight": 1,
                "finish": "length",
            },  # cut behind its answer
            {"name": "wrong", "text": f"{steps}{right + 1}", "weight": 3},
        ],
    }


def _readable(form: str) -> list[dict[str, Any]]:
    return [
        {"name": "readable", "text": form, "weight": 0.8},
        {"name": "readable", "text": f"Let me think.\n{form}", "finish": "length", "weight": 0.05},
        # Cut behind what looks like its answer: it may have been a draft.
        {
            "name": "truncated",
            "text": f"Let me think.\n{form}\nThis prompt is",
            "finish": "length",
            "weight": 0.05,
        },
    ]


def _write(file: Path, faults: list[dict[str, Any]], rules: list[dict[str, Any]]) -> Path:
    probed = {"match": "^Say yes", "replies": [{"name": PROBE, "text": "Yes."}]}
    file.write_text(yaml.safe_dump({"faults": faults, "rules": [probed, *rules]}))
    return file
