"""What the committed weights must show: the prompt decides, steps that are only told are often
skipped, shown ones are done.

The bounds are those of the model card; the figures themselves come from `python -m
serving.training.evaluate`.
"""

from pathlib import Path
from random import Random

import pytest

from optimizer.prompt import Prompt, read_trace
from optimizer.tasks.generated import GENERATED
from optimizer.types import Completion, Request
from serving.models import open_in_process
from serving.settings import TargetSettings
from serving.training.evaluate import fresh, measure, of_file

pytestmark = pytest.mark.slow
ITEMS = 40
"""The first of those that are generated or in the file, always the same ones, and answered the same."""
BBH = Path(__file__).parents[5] / "shared" / "data" / "bbh"
Figures = dict[str, tuple[float, float | None]]


async def _fresh_figures(name: str) -> Figures:
    asked = ("seed", "right steps", "+ 1 demonstration", "+ 2 demonstrations")
    return await measure(GENERATED[name], fresh(GENERATED[name], ITEMS), Random(name), asked)


def _adherence(figures: Figures, condition: str) -> float:
    followed = figures[condition][1]
    assert followed is not None
    return followed


async def test_behaviour_decides_on_fresh_items() -> None:
    figures_by_task = {name: await _fresh_figures(name) for name in GENERATED}
    shown = {name: _best_shown(figures) for name, figures in figures_by_task.items()}
    assert sum(accuracy >= 0.9 for accuracy in shown.values()) >= 3, shown
    assert min(shown.values()) >= 0.85
    assert figures_by_task["navigate"]["seed"][0] <= 0.65
    assert figures_by_task["object_counting"]["seed"][0] <= 0.45
    for figures in figures_by_task.values():
        assert _adherence(figures, "right steps") < _adherence(figures, "+ 1 demonstration") - 0.3


def _best_shown(figures: Figures) -> float:
    return max(figures["+ 1 demonstration"][0], figures["+ 2 demonstrations"][0])


@pytest.mark.parametrize(
    ("name", "at_most", "at_least"), [("navigate", 0.65, 0.85), ("object_counting", 0.45, 0.8)]
)
async def test_behaviour_decides_on_big_bench_items_never_trained_on(
    name: str, at_most: float, at_least: float
) -> None:
    if not (BBH / f"{name}.json").exists():
        pytest.skip("the BIG-Bench Hard files are not beside the project")
    asked = ("seed", "+ 1 demonstration", "+ 2 demonstrations")
    figures = await measure(*of_file(str(BBH / f"{name}.json"), ITEMS), Random(name), asked)
    assert figures["seed"][0] <= at_most
    assert _best_shown(figures) >= at_least


async def test_words_that_it_never_saw_give_a_direct_guess() -> None:
    prompts = [
        "Zyqx flurb: 你好, gib mir Antwort!",
        "Rédige un poème (très court).",
        "🙂 <b>{{x}}</b> ${y}",
    ]
    texts = [
        "Which statement is sarcastic? (a) Oh great. (b) It is great.",
        "quux" * 40,
        fresh(GENERATED["navigate"], 1)[0].input,
    ]
    requests = [Request(Prompt(prompt).render(text)) for prompt in prompts for text in texts]
    for outcome in await open_in_process(TargetSettings()).complete(requests):
        assert isinstance(outcome, Completion)
        assert not outcome.truncated
        assert read_trace(outcome.text).answer
