"""The check for new proposals: a prompt enters a search once, with one parent.

So lineages are trees. Knows ids only.
"""

from collections.abc import Container, Iterable

from optimizer.candidate import Candidate


def unseen(candidates: Iterable[Candidate], seen: Container[str]) -> list[Candidate]:
    """Return the candidates whose ids are not in `seen`, each once.

    Of the same prompt proposed twice the first counts.
    """
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.id not in seen:
            first.setdefault(candidate.id, candidate)
    return list(first.values())
