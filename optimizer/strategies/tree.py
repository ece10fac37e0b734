"""A tree of prompts, as Monte Carlo tree search sees it: rewards, returns, and where to go on.

The formulas are those of PromptAgent, Wang et al., arXiv 2310.16427, section 3.2, as its code
(`search_algo/mcts.py`) has them. Knows no model and no task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Optional

from optimizer.candidate import Candidate


@dataclass(eq=False)
class Node:
    """A prompt in the tree, beneath the prompt that it was written from."""

    candidate: Candidate
    reward: float
    """Dev accuracy of the prompt."""
    parent: Optional["Node"] = None
    children: list["Node"] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    """One for each path through it that was walked to its end: the sum of the rewards from this
    node to that end.
    """
    ended: bool = False
    """The prompt gets no children."""

    @property
    def path(self) -> list["Node"]:
        """Return the nodes from the root to this node."""
        return [*self.parent.path, self] if self.parent else [self]

    @property
    def depth(self) -> int:
        """Return the depth, 0 for the root."""
        return self.parent.depth + 1 if self.parent else 0

    @property
    def value(self) -> float:
        """Return the mean of its returns; its own reward before there are any."""
        return sum(self.returns) / len(self.returns) if self.returns else self.reward

    def bound(self, exploration: float) -> float:
        """Return the UCT bound: its value, and more the less often it was walked.

        The number of walks is compared with that of its parent.
        """
        walks_of_parent = len(self.parent.returns) if self.parent else 0
        return self.value + exploration * sqrt(log(walks_of_parent + 1) / max(1, len(self.returns)))


def selected(root: Node, exploration: float) -> list[Node]:
    """Return the path from the root along the largest bounds to a node without children.

    Ties go to the earlier child.
    """
    path = [root]
    while path[-1].children:
        path.append(max(path[-1].children, key=lambda child: child.bound(exploration)))
    return path


def back_propagate(path: Sequence[Node]) -> None:
    """Add to each node of a path its return.

    Returns are not discounted, so deeper paths give larger ones.
    """
    total = 0.0
    for node in reversed(path):
        total += node.reward
        node.returns.append(total)


def best_of(paths: Sequence[Sequence[Node]]) -> Node:
    """Return the node with the highest reward on the path with the highest mean reward.

    Ties go to the earlier one.
    """
    best = max(paths, key=lambda path: sum(node.reward for node in path) / len(path))
    return max(best, key=lambda node: node.reward)
