"""The rules of the rulebook, by operator.

A rule answers a question from the evidence in it and the phrase book. It draws its chances from the
query's own generator, in a fixed order, so that equal queries get equal replies. To add one: a file
here, or a function in the file of a related one, and a line in the table.
"""

from collections.abc import Callable

from serving.engines.rulebook.criticise import criticise
from serving.engines.rulebook.decompose import decompose
from serving.engines.rulebook.demonstrate import demonstrate
from serving.engines.rulebook.edit import edit, rewrite
from serving.engines.rulebook.induce import induce
from serving.engines.rulebook.localise import localise
from serving.engines.rulebook.metaprompt import Query
from serving.engines.rulebook.propose import propose
from serving.engines.rulebook.refine import refine
from serving.engines.rulebook.revise import revise
from serving.engines.rulebook.reword import reword
from serving.engines.rulebook.summarise import summarise

RULES: dict[str, Callable[[Query], str]] = {
    "induce": induce,
    "vary": reword,
    "paraphrase": reword,
    "propose": propose,
    "criticise": criticise,
    "criticise_unseen": criticise,
    "summarise": summarise,
    "edit": edit,
    "rewrite": rewrite,
    "decompose": decompose,
    "demonstrate": demonstrate,
    "localise": localise,
    "refine": refine,
    "revise": revise,
}
CHANGING = frozenset(("induce", "vary", "paraphrase", "propose", "edit", "rewrite"))
"""Operators whose reply is a whole prompt, which may have fixed parts (see edit.py)."""
