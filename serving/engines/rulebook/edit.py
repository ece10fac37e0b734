"""Edit and rewrite: add a request for what the reason finds missing."""

from optimizer.questions.template import escape
from serving.engines.rulebook.metaprompt import Query, prompt_of
from serving.engines.rulebook.phrasebook import PHRASEBOOK, STRONGER, VAGUE, kind_of, sentences
from serving.engines.rulebook.wishes import in_order, kind_of_reason, phrase


def edit(query: Query) -> str:
    """Write the prompt with one more request for each cause, or a stronger one."""
    kinds = _kinds_of_reason(query)
    if not kinds or query.task is None or query.biased:
        return prompt_of(f"{query.prompt.rstrip()} {query.rng.choice(VAGUE)}.")
    wishes = sentences(query.prompt)
    for kind in kinds:
        others = [text for text in wishes if kind_of(text, query.task) != kind]
        wish = phrase(query.task, kind, query.rng)
        stronger = len(others) < len(wishes) or query.rng.random() < 0.4
        wishes = [*others, wish + (query.rng.choice(STRONGER) if stronger else "")]
    return prompt_of(" ".join(f"{text}." for text in in_order(wishes, query.task)))


def rewrite(query: Query) -> str:
    """Write the prompt with a request for what is missing.

    Its wording is one that the series has not tried, as long as there is one.
    """
    kinds, series = _kinds_of_reason(query), "\n".join(query.path)
    if not kinds or query.task is None or query.biased:
        advice = [text for text in VAGUE if text not in series] or VAGUE
        return prompt_of(f"{query.prompt.rstrip()} {query.rng.choice(advice)}.")
    others = [text for text in sentences(query.prompt) if kind_of(text, query.task) != kinds[0]]
    wordings = [
        wish + tail
        for wish in PHRASEBOOK[query.task.name][kinds[0]].phrases
        for tail in ("", *STRONGER)
    ]
    wish = query.rng.choice([wording for wording in wordings if wording not in series] or wordings)
    return prompt_of(" ".join(f"{text}." for text in in_order([*others, wish], query.task)))


def add_request(query: Query) -> str:
    """Write a prompt that is long or has fixed parts with one more request, as an edit if asked.

    The other rules put a prompt's sentences in a new order, which would break its fixed parts.
    """
    old = query.prompt or (query.scored[-1][0] if query.scored else "\n\n".join(query.keep))
    kind = kind_of_reason(query.reason, query.task) if query.task and query.reason else None
    if kind and query.task and not query.biased and kind in PHRASEBOOK[query.task.name]:
        wish = phrase(query.task, kind, query.rng)
    else:
        wish = query.rng.choice(VAGUE)
    lines = [line for line in old.split("\n") if _may_be_named(line, old, query)]
    if not (query.wants_edits and lines):
        return prompt_of(f"{old.rstrip()}\n{wish}.")
    line = query.rng.choice(lines)
    return (
        f"<edit>\n<search>{escape(line)}</search>\n"
        f"<replace>{escape(line)}\n{wish}.</replace>\n</edit>"
    )


def _may_be_named(line: str, old: str, query: Query) -> bool:
    return bool(line.strip()) and old.count(line) == 1 and not any(line in p for p in query.keep)


def _kinds_of_reason(query: Query) -> list[str]:
    """Return the kinds of step that the reason asks for, at most one a line, each once."""
    if query.task is None:
        return []
    kinds = [kind_of_reason(line, query.task) for line in query.reason.splitlines()]
    return list(dict.fromkeys(kind for kind in kinds if kind))
