"""Vary and paraphrase: write other words with the same meaning."""

import re

from serving.engines.rulebook.metaprompt import Query, prompt_of
from serving.engines.rulebook.phrasebook import SYNONYMS, VAGUE


def reword(query: Query) -> str:
    """Write the prompt in other words."""
    text = query.prompt
    for old, new in query.rng.sample(SYNONYMS, len(SYNONYMS)):
        if re.search(rf"\b{old}\b", text) and query.rng.random() < 0.7:
            return prompt_of(re.sub(rf"\b{old}\b", new, text, count=1))
    return prompt_of(f"{text.rstrip()} {query.rng.choice(VAGUE)}.")
