"""What the optimizer model is told about the task, in the blocks at the head of a question.

A block stands only where there is something to tell. Knows no operator and no reply.
"""

from optimizer.candidate import Problem
from optimizer.prompt import Prompt
from optimizer.questions.template import Markup, escape, tagged

AboutTask = Problem | str
"""What an operator tells of its task: all that a problem knows, or a description alone."""


def told(task: AboutTask, *, described: bool = True) -> Markup:
    """Return the blocks on a task, each with an empty line behind it.

    Args:
        task: The task.
        described: Whether a plain problem is told its description; any other is always told it.
    """
    problem = _as_problem(task)
    blocks = []
    if problem.description.strip() and (described or not problem.is_plain):
        blocks.append(f"<task>\n{escape(problem.description)}\n</task>")
    if problem.labels:
        labels = "\n".join(problem.labels)
        blocks.append(_block("Every answer is one of these labels, one a line:", "labels", labels))
    if problem.answer_contract:
        lead = "How an answer is read and graded:"
        blocks.append(_block(lead, "contract", problem.answer_contract))
    if problem.where:
        blocks.append(_block("Where the prompt stands:", "where", problem.where))
    if problem.baseline_score is not None:
        lead = "The mean score, from 0 to 1, that the prompt this search began with reached:"
        blocks.append(f"{lead}\n{tagged('baseline_score', f'{problem.baseline_score:.2f}')}")
    return Markup("".join(f"{block}\n\n" for block in blocks))


def told_with_fixed_parts(task: AboutTask, *, described: bool = True) -> Markup:
    """Return the blocks on a task, and the parts that a new prompt must hold word for word."""
    keep = _as_problem(task).keep
    parts = "\n".join(f"<keep>\n{escape(part)}\n</keep>" for part in keep)
    fixed = (
        "These parts of the prompt are fixed. Each of them must stand in every new prompt exactly "
        f"once, word for word, and in this order:\n{parts}\n\n"
    )
    return Markup(told(task, described=described) + (fixed if keep else ""))


def told_with_baseline(task: AboutTask, *, shown: bool = True) -> Markup:
    """Return the blocks on a task, and the text that its steps stand behind, where they do.

    Args:
        task: The task.
        shown: Whether that text is shown; else the question shows it anyway, and only the rule is
            told.
    """
    problem = _as_problem(task)
    rule = (
        "What the prompt says before its steps stays as it is, word for word. The steps are added "
        "behind it: they apply it, and do not say it again."
    )
    text = f"\n<prompt>\n{escape(problem.seed.instruction)}\n</prompt>" if shown else ""
    fixed = f"{rule}{text}\n\n" if problem.adds_steps else ""
    return Markup(told(task) + fixed)


def kept_by(task: AboutTask) -> tuple[str, ...]:
    """Return the parts that must stand word for word."""
    return _as_problem(task).keep


def baseline_length(task: AboutTask) -> int:
    """Return the number of characters of the baseline's instruction; 0 where it is not known."""
    return len(_as_problem(task).seed.instruction)


def is_plain(task: AboutTask) -> bool:
    """Return whether nothing but the description is told."""
    return _as_problem(task).is_plain


def _as_problem(task: AboutTask) -> Problem:
    return task if isinstance(task, Problem) else Problem(task, Prompt(), ())


def _block(lead: str, tag: str, text: str) -> str:
    return f"{lead}\n<{tag}>\n{escape(text)}\n</{tag}>"
