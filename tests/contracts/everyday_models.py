"""Functions that stand in for the two models of everyday tasks (see everyday_tasks.py).

The target knows a part of each task, and more of it where its prompt says so; the optimizer finds
in the feedback what is missing, and writes it into the prompt. Both work on the words of a request
alone, so that what reaches a request is what a test sees.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.questions.template import unescape

Messages = Sequence[Mapping[str, str]]
RETURNS = "Whatever is to go back, or came back, belongs to returns."
TECHNICAL = "A thing or an app that does not work belongs to technical."
NUMBERS = "Write quantities as numbers."
EXPRESS = "Say in the field express whether the order is by express."
CAUSE = "Name the service, the cause and what was done."
_WORDS = {
    "billing": r"charged|invoice|debited",
    "delivery": r"tracking|courier|deliver|parcel",
    "account": r"log in|my account|our account",
    "returns": r"send it back|returned|return label|exchange",
    "technical": r"switches|app closes|does not connect|Error E-",
}
_ITEM = re.compile(r"(\d+) x ([a-z ]+?)(?= and|,|\.)")


def answer(messages: Messages, example: Mapping[str, Any]) -> dict[str, Any]:
    """Answer as far as the prompt has told how; the row comes without its target."""
    assert "input" in example
    assert not {"label", "order", "summary"} & set(example), "a target is in the row"
    prompt, asked = messages[0]["content"], messages[-1]["content"]
    if asked.startswith("Subject: Order"):
        text = _order(prompt, asked)
    elif asked.startswith("INC-"):
        text = _summary(prompt, asked)
    else:
        text = f"Answer: {_department(prompt, asked)}"
    return {"text": text, "prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}


def _department(prompt: str, ticket: str) -> str:
    known = ["returns"] * (RETURNS in prompt) + ["technical"] * (TECHNICAL in prompt)
    for label in (*known, "billing", "delivery", "account"):
        if re.search(_WORDS[label], ticket):
            return label
    return "other"


def _order(prompt: str, mail: str) -> str:
    items = [(int(count), name) for count, name in _ITEM.findall(mail.replace("\n", " "))]
    order: dict[str, Any] = {
        "customer": mail.strip().splitlines()[-1],
        "reference": mail.split()[2],
        "items": [
            {"name": name, "quantity": count if NUMBERS in prompt else f"{count} pieces"}
            for count, name in items
        ],
    }
    if EXPRESS in prompt:
        order["express"] = "by express" in mail
    return f"Here it is:\n```json\n{json.dumps(order)}\n```"


def _summary(prompt: str, notes: str) -> str:
    lines = notes.splitlines()
    service = lines[1].partition("alarm: ")[2].removesuffix(" answers slowly")
    if CAUSE not in prompt:
        return f"{service} was slow."
    cause = lines[3].partition("cause seems to be ")[2]
    return f"The {service} service was slow because of {cause}; {lines[4][6:]}."


def advise(messages: Messages, example: Mapping[str, Any]) -> str:
    """Answer an operator's question: a reason out of the feedback, or a prompt with what it says."""
    asked = messages[-1]["content"]
    operator = asked.partition("\n")[0].removeprefix("Operator: ")
    if operator == "criticise":
        return f"<reason>{' '.join(_missing(asked)) or 'No reason.'}</reason>"
    found = re.search(r"<prompt>\n(.*?)\n</prompt>", asked, re.DOTALL)
    old = unescape(found[1]) if found else ""
    reason = re.search(r"<reason>\n(.*?)\n</reason>", asked, re.DOTALL)
    new = unescape(reason[1]) if reason else "Be careful."
    if "\n<edit>\n" in asked:
        line = "There are six teams. Each ticket belongs to exactly one of them."
        return f"<edit>\n<search>{line}</search>\n<replace>{line} {new}</replace>\n</edit>"
    return f"<prompt>{old}\n{new}</prompt>"


def _missing(asked: str) -> list[str]:
    feedback = " ".join(re.findall(r"<feedback>(.*?)</feedback>", asked, re.DOTALL))
    gold = re.findall(r"<gold>(.*?)</gold>", asked)
    found = []
    if "express" in feedback:
        found.append(EXPRESS)
    if "pieces" in feedback:
        found.append(NUMBERS)
    if "because of" in " ".join(gold):
        found.append(CAUSE)
    return found + [RETURNS] * ("returns" in gold) + [TECHNICAL] * ("technical" in gold)
