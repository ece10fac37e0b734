"""Demonstrate: carry out the steps on one item."""

from optimizer.questions.template import escape
from serving.engines.rulebook.metaprompt import Query
from serving.engines.rulebook.phrasebook import kind_of


def demonstrate(query: Query) -> str:
    """Carry out the steps on the item, and give the answer that follows from them.

    It is the gold answer where nothing follows.
    """
    if not query.cases:
        return "There is no example to show the steps on."
    case = query.cases[0]
    item = query.item(case)
    if item is None or query.task is None:
        lines = [
            f"Step {number}: {case.input.partition(chr(10))[0][:80]}"
            for number, _ in enumerate(query.steps, 1)
        ]
        return f"<response>{escape(chr(10).join([*lines, f'Answer: {case.gold}']))}</response>"
    kinds = [kind_of(text, query.task) for text in query.steps]
    blocks = item.work([kind for kind in kinds if kind])
    lines = [
        f"Step {number}: {blocks[kind] if kind else 'done'}" for number, kind in enumerate(kinds, 1)
    ]
    if query.biased and lines:
        lines.pop(query.rng.randrange(len(lines)))
    answer = item.conclude([kind for kind in kinds if kind])
    # In the words of the gold one: a task may have True where the procedure has Yes.
    same = {("yes", "true"), ("no", "false")}
    if answer is None or (answer.lower(), case.gold.lower()) in same:
        answer = case.gold
    response = "\n".join([*lines, f"Answer: {answer}"])
    return f"<response>{escape(response)}</response>"
