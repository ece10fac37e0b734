"""The generated tasks, by name.

Each can make items without end, and knows the right intermediate values of every item.
"""

from optimizer.tasks.generated.coin_flip import COIN_FLIP
from optimizer.tasks.generated.item import GeneratedTask, Item
from optimizer.tasks.generated.navigate import NAVIGATE
from optimizer.tasks.generated.object_counting import OBJECT_COUNTING
from optimizer.tasks.generated.web_of_lies import WEB_OF_LIES

GENERATED: dict[str, GeneratedTask] = {
    "navigate": NAVIGATE,
    "object_counting": OBJECT_COUNTING,
    "web_of_lies": WEB_OF_LIES,
    "coin_flip": COIN_FLIP,
}

__all__ = ["GENERATED", "GeneratedTask", "Item"]
