"""Each task has a best prompt of its own, by one rule that report, page and console share."""

from dataclasses import replace

from cluster.analysis.winner import best_lines, best_trials
from cluster.results.page import report_page
from cluster.trial.result import TrialResult
from optimizer.candidate import Round, Standing
from tests.unit.cluster.results.conftest import WINNER, trial


def measured(
    name: str, accuracy: float | None, items: int = 40, task: str = "navigate", **changes: object
) -> TrialResult:
    rounds = (Round(0, (Standing(WINNER, accuracy, items, None, True),)),)
    return replace(trial(task=task), trial=name, dev_accuracy=accuracy, rounds=rounds, **changes)  # type: ignore[arg-type]


def test_each_task_has_its_own_though_another_tasks_accuracy_is_higher() -> None:
    results = [
        measured("navigate-a", 0.95),
        measured("counting-a", 0.4, task="counting"),
        measured("counting-b", 0.5, task="counting"),
    ]
    assert {task: one.trial for task, one in best_trials(results).items()} == {
        "navigate": "navigate-a",
        "counting": "counting-b",
    }


def test_the_test_split_chooses_nothing() -> None:
    results = [measured("a", 0.9, test_accuracy=0.5), measured("b", 0.8, test_accuracy=0.99)]
    assert best_trials(results)["navigate"].trial == "a"


def test_of_equals_it_is_the_one_on_more_items_then_the_first() -> None:
    assert (
        best_trials([measured("a", 0.9, 10), measured("b", 0.9), measured("c", 0.9)])[
            "navigate"
        ].trial
        == "b"
    )


def test_what_was_not_measured_stands_last_and_what_found_nothing_is_left_out() -> None:
    assert best_trials([measured("a", None), measured("b", 0.0)])["navigate"].trial == "b"
    assert best_trials([measured("a", None)])["navigate"].trial == "a"
    assert best_trials([measured("a", 0.9, best=None)]) == {}


def test_the_lines_say_on_which_split_and_items() -> None:
    results = [
        measured("navigate-a", 0.95),
        measured("counting-a", 0.5, task="counting", test_accuracy=None),
    ]
    assert best_lines(results, "out") == [
        "Best prompt on navigate, by dev accuracy (0.95 on 40 items): out/best/navigate-a.json; "
        "test accuracy 0.94 on 150 items, "
        "baseline 0.52.",
        "Best prompt on counting, by dev accuracy (0.50 on 40 items): out/best/counting-a.json; "
        "not tested.",
    ]


def test_the_report_offers_each_and_opens_it_first(results: list[TrialResult]) -> None:
    better = [
        replace(one, dev_accuracy=0.99) if one.trial == "navigate-apo-s1" else one
        for one in results
    ]
    page = report_page(better, {})
    assert page.count("Best prompt: ") == 2
    assert "best/navigate-apo-s1.json" in page
    assert "best/object_counting-apo-s0.json" in page
    opened = [
        part.partition('"')[0]
        for part in page.split('<details class="trial" id="')[1:]
        if " open>" in part[:40]
    ]
    shown = [part.partition('"')[0] for part in page.split('<details class="trial" id="')[1:]]
    places = {one.trial: f"trial-{place}" for place, one in enumerate(better)}
    assert opened == [places["navigate-apo-s1"], places["object_counting-apo-s0"]]
    assert shown[0] == places["navigate-apo-s1"], "the winner stands first"
