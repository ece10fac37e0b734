"""Exports the best prompt in the forms of other tools.

Pure; nothing here is evaluated, and what a prompt says stays text.

openai   messages of a chat completion, the last with {{input}} in place of the question
dspy     the state of a dspy.Predict("input -> answer"), as its load_state reads it
mlflow   a chat prompt for mlflow.genai.register_prompt, with {{input}} as its variable
"""

import re
from typing import Any

from cluster.service.read_models.results import TrialHistory
from cluster.service.schemas import Best
from optimizer.candidate import Candidate
from optimizer.prompt import Prompt
from serving.storage.text import storable

PLACE = "{{input}}"
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def as_promptray(history: TrialHistory, best: Best) -> dict[str, Any]:
    """Return what `promptray apply` reads; best/TRIAL.json begins like this."""
    fields = best.model_dump(exclude={"text", "prompt", "candidate", "worked_examples"})
    if history.result is not None:
        fields |= {
            name: storable(getattr(history.result, name))
            for name in ("task", "target", "scorer", "strategy", "data_hash")
        }
    return {"prompt": best.prompt, **fields}


def as_openai(history: TrialHistory, best: Best) -> dict[str, Any]:
    """Return chat messages with {{input}} in place of the question."""
    return {"messages": _messages(_prompt(best)), "temperature": 0.0}


def as_dspy(history: TrialHistory, best: Best) -> dict[str, Any]:
    """Return a state to load with dspy.Predict("input -> answer").load("FILE.json").

    A demonstration's answer is its whole response, with the steps that the instructions ask for;
    the answer itself is its last line. Seen to load in DSPy 3.4.
    """
    prompt = _prompt(best)
    return {
        "traces": [],
        "train": [],
        "demos": [
            {"input": shown.input, "answer": shown.response} for shown in prompt.demonstrations
        ],
        "signature": {
            "instructions": prompt.text(),
            "fields": [
                {"prefix": "Input:", "description": "${input}"},
                {"prefix": "Answer:", "description": "${answer}"},
            ],
        },
        "lm": None,
        "metadata": {"dependency_versions": {}},
    }


def as_mlflow(history: TrialHistory, best: Best) -> dict[str, Any]:
    """Return the arguments of register_prompt.

    Names in double braces in the prompt itself would become variables; a tag lists them.
    """
    template = _messages(_prompt(best))
    held = sorted(
        {name for message in template for name in _VARIABLE.findall(message["content"])} - {"input"}
    )
    tags = {
        "source": "promptray",
        "trial": best.trial,
        "candidate": best.candidate,
        "verdict": best.verdict or "not tested",
    }
    if held:
        tags["own_variables"] = ", ".join(held)[:500]
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", best.trial)
    return {
        "name": name,
        "template": template,
        "commit_message": f"Best prompt of {best.trial}",
        "tags": tags,
    }


def _prompt(best: Best) -> Prompt:
    return Candidate(Prompt.from_json(best.prompt), "", 0).prompt


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in prompt.render(PLACE)]
