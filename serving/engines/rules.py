"""The rules of the rulebook: how each operator's meta-prompt is answered, from the evidence in it and the phrase book.

A rule draws its chances from the query's own generator, in a fixed order, so that equal queries get equal replies.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from random import Random

from optimizer.operators.template import escape
from optimizer.prompt import read_trace
from optimizer.tasks.generated import GeneratedTask
from serving.engines.metaprompt import Case, Query, location_of, prompt_of, replacement_of, steps_of
from serving.engines.phrasebook import GENERIC_STEPS, PHRASEBOOK, STOCK_REASONS, STRONGER, SYNONYMS, VAGUE, kind_of, sentences


def _induce(query: Query) -> str:
    """A task sentence, and now and then a first step: what one can tell from inputs and outputs alone."""
    parts = [query.task.description if query.task and not query.biased else "Answer the question."]
    if query.task and not query.biased and query.rng.random() < 0.5:
        parts.append(_phrase(query.task, query.rng.choice(query.task.kinds), query.rng) + ".")
    if query.rng.random() < 0.5:
        parts.append(f"{query.rng.choice(VAGUE)}.")
    return prompt_of(" ".join(parts))


def _reword(query: Query) -> str:
    """Other words, the same meaning."""
    text = query.prompt
    for old, new in query.rng.sample(SYNONYMS, len(SYNONYMS)):
        if re.search(rf"\b{old}\b", text) and query.rng.random() < 0.7:
            return prompt_of(re.sub(rf"\b{old}\b", new, text, count=1))
    return prompt_of(f"{text.rstrip()} {query.rng.choice(VAGUE)}.")


def _criticise(query: Query) -> str:
    if query.biased or not query.task:
        return f"<reason>{query.rng.choice(STOCK_REASONS)}</reason>"
    lacking = Counter(kind for case in query.cases for kind in _lacking(query, case))
    if not lacking:
        return f"<reason>{query.rng.choice(STOCK_REASONS)}</reason>"
    kinds = [kind for kind, _ in lacking.most_common(3)]
    kind = query.rng.choices(kinds, weights=[lacking[kind] for kind in kinds])[0]
    return f"<reason>In the responses {PHRASEBOOK[query.task.name][kind].missing}.</reason>"


def _edit(query: Query) -> str:
    """The prompt with one more request, or the same request made stronger."""
    kind = _kind_of_reason(query.reason, query.task) if query.task else None
    if kind is None or query.task is None or query.biased:
        return prompt_of(f"{query.prompt.rstrip()} {query.rng.choice(VAGUE)}.")
    kept = [text for text in sentences(query.prompt) if kind_of(text, query.task) != kind]
    asked_before = len(kept) < len(sentences(query.prompt))
    wish = _phrase(query.task, kind, query.rng) + (query.rng.choice(STRONGER) if asked_before or query.rng.random() < 0.4 else "")
    wishes = _in_order([*kept, wish], query.task)
    return prompt_of(" ".join(f"{text}." for text in wishes))


def _decompose(query: Query) -> str:
    """A plan of the task. What is often forgotten is forgotten here, too; refinement has to find it."""
    if query.task is None or query.biased:
        return steps_of([f"{number}. {text} [{form}]" for number, (text, form) in enumerate(GENERIC_STEPS, 1)])
    book = PHRASEBOOK[query.task.name]
    known = " ".join(sentences(query.reason))
    kinds = [kind for kind in query.task.kinds
             if query.rng.random() < (0.35 if book[kind].often_forgotten and book[kind].missing not in known else 0.9)]
    kinds = kinds or [query.rng.choice(query.task.kinds)]
    wishes = [f"{_phrase(query.task, kind, query.rng)}. [{book[kind].form}]" for kind in kinds]
    return steps_of([f"{number}. {wish}" for number, wish in enumerate(wishes, 1)])


def _demonstrate(query: Query) -> str:
    """The steps carried out on the item, and the answer that follows from them; the gold answer where nothing follows."""
    case = query.cases[0]
    item = query.item(case)
    if item is None or query.task is None:
        lines = [f"Step {number}: {case.input.splitlines()[0][:80]}" for number, _ in enumerate(query.steps, 1)]
        return f"<response>{escape(chr(10).join([*lines, f'Answer: {case.gold}']))}</response>"
    kinds = [kind_of(text, query.task) for text in query.steps]
    blocks = item.work([kind for kind in kinds if kind])
    lines = [f"Step {number}: {blocks[kind] if kind else 'done'}" for number, kind in enumerate(kinds, 1)]
    if query.biased:
        lines.pop(query.rng.randrange(len(lines)))
    answer = item.conclude([kind for kind in kinds if kind])
    return f"<response>{escape(chr(10).join([*lines, f'Answer: {_as_gold(answer, case.gold)}']))}</response>"


def _localise(query: Query) -> str:
    """The first step that is missing from the trace, or whose block is not what it should be."""
    number, kind, evidence = 1, "ambiguous", "the responses do not show where they go wrong"
    if query.biased:
        return location_of(query.rng.randint(1, max(1, len(query.steps))), "skipped", "the model was not careful here")
    case = query.cases[0]
    item, trace = query.item(case), read_trace(case.response)
    right = item.work(query.task.kinds) if item and query.task else {}
    for number, text in enumerate(query.steps, 1):
        wanted = kind_of(text, query.task) if query.task else None
        written = trace.block_by_step.get(number)
        if written is None:
            return location_of(number, "skipped", f"the response has no Step {number}")
        if wanted and written != right[wanted] and not _same_values(written, right[wanted]):
            return location_of(number, "wrong", _difference(written, right[wanted]))
    return location_of(number, kind, evidence)


def _refine(query: Query) -> str:
    """A stronger wording for a step that was skipped; what it leans on, put before it, for a step that came out wrong."""
    old = query.steps[query.number - 1] if 0 < query.number <= len(query.steps) else ""
    kind = kind_of(old, query.task) if query.task else None
    if kind is None or query.task is None or query.biased:
        return replacement_of([(f"{old.rstrip('.')}. {query.rng.choice(VAGUE)}", "text")])
    book, present = PHRASEBOOK[query.task.name], {kind_of(text, query.task) for text in query.steps}
    lacking = [other for other in book[kind].leans_on if other not in present]
    if query.kind != "skipped" and lacking:
        first = (_phrase(query.task, lacking[0], query.rng), book[lacking[0]].form)
        return replacement_of([first, (old.rstrip("."), book[kind].form)])
    wordings = [phrase + tail for phrase in book[kind].phrases for tail in STRONGER if phrase + tail not in query.tried]
    return replacement_of([(query.rng.choice(wordings) if wordings else old.rstrip("."), book[kind].form)])


RULES: dict[str, Callable[[Query], str]] = {
    "induce": _induce,
    "vary": _reword,
    "paraphrase": _reword,
    "criticise": _criticise,
    "edit": _edit,
    "decompose": _decompose,
    "demonstrate": _demonstrate,
    "localise": _localise,
    "refine": _refine,
}


def _lacking(query: Query, case: Case) -> list[str]:
    """The kinds that a response does not show rightly: those whose values are nowhere in it."""
    item = query.item(case)
    if item is None or query.task is None:
        return []
    right = item.work(query.task.kinds)
    written = list(read_trace(case.response).block_by_step.values())
    return [kind for kind in query.task.kinds if not any(_same_values(block, right[kind]) for block in written)]


def _ends(entry: str) -> tuple[str, ...]:
    """The first and the last word: what an entry is about, and its value."""
    words = entry.split()
    return (words[0], words[-1]) if words else ()


def _same_values(written: str, right: str) -> bool:
    """Whether two blocks show the same values for the same things, whatever stands between."""
    return [_ends(entry) for entry in written.split(";")] == [_ends(entry) for entry in right.split(";")]


def _difference(written: str, right: str) -> str:
    pairs = zip_longest(written.split(";"), right.split(";"), fillvalue="nothing")
    here, wanted = next((pair for pair in pairs if _ends(pair[0]) != _ends(pair[1])), (written, right))
    return f'it says "{here.strip()}" where "{wanted.strip()}" is right'


def _kind_of_reason(reason: str, task: GeneratedTask) -> str | None:
    named = [kind for kind, entry in PHRASEBOOK[task.name].items() if entry.missing in reason]
    return named[0] if named else kind_of(reason, task)


def _in_order(texts: Sequence[str], task: GeneratedTask) -> list[str]:
    """General advice first, then the steps in the order in which they are done."""
    place = {kind: at for at, kind in enumerate(task.kinds)}
    return sorted(texts, key=lambda text: place.get(kind_of(text, task) or "", -1))


def _phrase(task: GeneratedTask, kind: str, rng: Random) -> str:
    return rng.choice(PHRASEBOOK[task.name][kind].phrases)


def _as_gold(answer: str | None, gold: str) -> str:
    """The answer in the words of the gold one: a task may say True where the procedure says Yes."""
    same = {("yes", "true"), ("no", "false")}
    return gold if answer is None or (answer.lower(), gold.lower()) in same else answer
