"""Propose: combine the requests of good instructions."""

from serving.engines.rulebook.metaprompt import Query, prompt_of
from serving.engines.rulebook.phrasebook import STRONGER, VAGUE, kind_of, sentences
from serving.engines.rulebook.wishes import in_order, phrase

BEST = 6
"""Number of best instructions that are combined."""


def propose(query: Query) -> str:
    """Combine two good instructions, sometimes without a part or with a new request.

    The new request is a random one: no error is shown.
    """
    best = [text for text, _ in query.scored[-BEST:]] or [""]
    if query.biased or query.task is None:
        return prompt_of(f"{best[-1].rstrip()} {query.rng.choice(VAGUE)}.".lstrip())
    ranks = range(1, len(best) + 1)
    first, second = query.rng.choices(best, weights=ranks, k=2)
    texts = [*sentences(first), *sentences(second)]
    # Without a second request for the same kind of step, and a second piece of the same advice.
    about = {text: kind_of(text, query.task) for text in texts}
    wishes = list({about[text] or text: text for text in reversed(texts)}.values())[::-1]
    if len(wishes) > 1 and query.rng.random() < 0.2:
        wishes.pop(query.rng.randrange(len(wishes)))
    asked = {kind_of(text, query.task) for text in wishes}
    unasked = [kind for kind in query.task.kinds if kind not in asked]
    if unasked and (not wishes or query.rng.random() < 0.5):
        tail = query.rng.choice(STRONGER) if query.rng.random() < 0.4 else ""
        wishes.append(phrase(query.task, query.rng.choice(unasked), query.rng) + tail)
    elif query.rng.random() < 0.5:
        wishes.append(query.rng.choice(VAGUE))
    return prompt_of(" ".join(f"{text}." for text in in_order(wishes, query.task)))
