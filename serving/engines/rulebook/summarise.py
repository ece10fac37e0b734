"""Summarise: list the critics' causes, each once."""

from collections import Counter

from optimizer.questions.template import escape
from serving.engines.rulebook.metaprompt import Query
from serving.engines.rulebook.phrasebook import STOCK_REASONS


def summarise(query: Query) -> str:
    """List the causes, the most frequent first; when biased, one stock cause."""
    causes = (
        [query.rng.choice(STOCK_REASONS)]
        if query.biased
        else [reason for reason, _ in Counter(query.reasons).most_common()]
    )
    lines = [f"- {' '.join(cause.split())}" for cause in causes]
    return f"<causes>\n{escape(chr(10).join(lines))}\n</causes>"
