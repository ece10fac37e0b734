"""Small jobs of the tests, and how they are asked for."""

from typing import Any


def request(**changes: Any) -> dict[str, Any]:
    """An OptimizationRequest of a few seconds, as JSON."""
    return {
        "tasks": [{"generated": "navigate"}],
        "strategies": [{"name": "iterative_ape", "settings": {"rounds": 2, "pool": 3}}],
        "sizes": {"train": 10, "dev": 10, "test": 10},
        "budget": {"target_calls": 600, "optimizer_calls": 80},
    } | changes


LONGER: dict[str, Any] = {
    "strategies": [{"name": "iterative_ape", "settings": {"rounds": 3, "pool": 4}}],
    "sizes": {"train": 10, "dev": 14, "test": 10},
    "budget": {"target_calls": 2000, "optimizer_calls": 200},
}
"""With enough rounds to be killed between two of them."""
