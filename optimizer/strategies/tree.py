"""A tree of prompts, as Monte Carlo tree search sees it: rewards, returns, and where to go on.

Knows no model and no task.

The formulas are those of PromptAgent, Wang et al., arXiv 2310.16427, section 3.2, as its code
(`search_algo/mcts.py`) has them.
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
    """Its dev accuracy."""
    parent: Optional["Node"] = None
    children: list["Node"] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    """One for each path through it that was walked to its end: the sum of the rewards from this
    node to that end.
    """
    ended: bool = False
    """Nothing is to be written from it."""

    @property
    def path(self) -> list["Node"]:
        """From the root to this node."""
        return [*self.parent.path, self] if self.parent else [self]

    @property
    def depth(self) -> int:
        """0 for the root."""
        return self.parent.depth + 1 if self.parent else 0

    @property
    def value(self) -> float:
        """The mean of its returns; its own reward before there are any."""
        return sum(self.returns) / len(self.returns) if self.returns else self.reward

    def bound(self, exploration: float) -> float:
        """UCT: its value, and the more on top of it the less often it was walked, compared with its
        parent.
        """
        walks_of_parent = len(self.parent.returns) if self.parent else 0
        return self.value + exploration * sqrt(log(walks_of_parent + 1) / max(1, len(self.returns)))


def selected(root: Node, exploration: float) -> list[Node]:
    """The path from the root along the largest bounds (of equals the earlier child) to a node
    without children.
    """
    path = [root]
    while path[-1].children:
        path.append(max(path[-1].children, key=lambda child: child.bound(exploration)))
    return path


def back_propagate(path: Sequence[Node]) -> None:
    """Gives each node of a path its return. Undiscounted, so deeper paths give larger ones."""
    total = 0.0
    for node in reversed(path):
        total += node.reward
        node.returns.append(total)


def best_of(paths: Sequence[Sequence[Node]]) -> Node:
    """The node with the highest reward on the path with the highest mean reward; of equals the
    earlier one.
    """
    best = max(paths, key=lambda path: sum(node.reward for node in path) / len(path))
    return max(best, key=lambda node: node.reward)
