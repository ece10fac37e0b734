"""Every view for everybody: axe-core's rules in light and dark, phones, the keyboard, chosen
colours, axes that can be read; and a picture of each.
"""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import write_settings
from cluster.results.charts.ticks import ticks
from cluster.results.folder import write_trial
from cluster.service.backends.archive import ArchiveBackend
from cluster.text.formatting import share
from serving.storage import open_folder
from tests.e2e.browser.conftest import ScreenOf, ServeBackend
from tests.e2e.browser.screen import Screen
from tests.unit.cluster.service.http.conftest import SETTINGS, Small

VIEWS = {
    "jobs": ("/", ".job"),
    "new": ("/new", "fieldset"),
    "data": ("/files", "main p, main table"),
    "job": ("/jobs/JOB", ".plot canvas"),
    "lineage": ("/jobs/JOB/lineage?trial=TRIAL", "aside .words"),
    "candidates": ("/jobs/JOB/candidates?trial=TRIAL", "aside .words"),
    "compare": ("/jobs/JOB/compare?trial=TRIAL", ".item"),
    "nothing": ("/jobs/opt-none", "[role=alert]"),
}
TRIAL = "navigate-abo-s0"
THEMES = ("light", "dark")


def opened(screen: Screen, view: str, job: str) -> None:
    path, shows = VIEWS[view]
    screen.open(path.replace("JOB", job).replace("TRIAL", TRIAL), shows)
    if view == "compare":
        screen.all(".item > summary")[0].click()
        screen.find(".item[open] .item-body")


@pytest.mark.parametrize("view", VIEWS)
def test_no_serious_fault(screen: Screen, shown: str, view: str) -> None:
    for theme in THEMES:
        screen.colours(theme)
        opened(screen, view, shown)
        assert screen.serious_faults() == [], theme
        screen.picture(f"{view}-{theme}")
    if view != "nothing":
        assert screen.complaints() == []


def test_a_serious_fault_is_seen(screen: Screen) -> None:
    """Of the finder itself."""
    screen.open("/new")
    screen.asked(
        "const e = document.createElement('img'); e.src = '/assets/mark.svg'; "
        "document.querySelector('main').append(e)"
    )
    assert any(fault.startswith("image-alt") for fault in screen.serious_faults())


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "nothing"])
def test_a_phone_shows_all_of_it(screen: Screen, shown: str, view: str) -> None:
    screen.sized(390, 844, phone=True)
    opened(screen, view, shown)
    assert screen.asked("return document.documentElement.scrollWidth") <= 390
    screen.picture(f"{view}-phone")


def test_the_keyboard_reaches_the_content_and_moves_in_the_tree(screen: Screen, shown: str) -> None:
    opened(screen, "lineage", shown)
    body, active = screen.find("body"), "return document.activeElement.getAttribute(arguments[0])"
    body.send_keys(Keys.TAB)
    assert screen.asked(active, "href") == "#main"
    assert screen.asked("return document.activeElement.getBoundingClientRect().top") >= 0
    screen.asked("document.querySelector('[role=treeitem][tabindex=\"0\"]').focus()")
    first, level = screen.asked(active, "aria-label"), int(screen.asked(active, "aria-level"))
    assert level > 1
    screen.driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    screen.until(
        lambda: screen.asked(active, "aria-level") == str(level - 1), "the parent has the focus"
    )
    screen.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    screen.until(lambda: screen.asked(active, "aria-level") == str(level), "a child has the focus")
    screen.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    screen.until(
        lambda: (
            screen.asked(active, "aria-label") != first or len(screen.all("[role=treeitem]")) < 4
        ),
        "the next one",
    )
    screen.driver.switch_to.active_element.send_keys(Keys.ENTER)
    screen.until(lambda: screen.asked(active, "aria-selected") == "true", "it is chosen")
    assert "candidate=" in screen.driver.current_url


def test_moving_to_a_view_moves_the_focus_to_its_title(screen: Screen, shown: str) -> None:
    opened(screen, "jobs", shown)
    screen.press("New job")
    screen.until(
        lambda: screen.asked("return document.activeElement.textContent") == "New job",
        "the title has the focus",
    )
    screen.driver.back()
    screen.find(".job")


def test_chosen_colours_stay(screen: Screen) -> None:
    screen.colours("light")
    screen.open("/")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = screen.asked(ground)
    screen.find("header button[title='Use dark colours']").click()
    dark = screen.asked(ground)
    assert dark != light
    screen.open("/")
    assert screen.asked(ground) == dark


def test_a_table_is_sorted_by_its_heads(screen: Screen, shown: str) -> None:
    opened(screen, "candidates", shown)
    screen.press("Round", selector="th button")
    screen.until(
        lambda: screen.find("th[aria-sort=descending]").text.startswith("Round"), "sorted by round"
    )
    rounds = [int(cell.text) for cell in screen.all("tbody td:nth-child(6)")]
    assert rounds == sorted(rounds, reverse=True)
    screen.press("Round", selector="th button")
    screen.find("th[aria-sort=ascending]")
    assert [int(cell.text) for cell in screen.all("tbody td:nth-child(6)")] == sorted(rounds)


def test_prompts_of_two_trials_are_compared(screen: Screen, shown: str) -> None:
    opened(screen, "compare", shown)
    screen.choose("right-trial", "navigate-apo-s0")
    screen.until(
        lambda: "right_trial=navigate-apo-s0" in screen.driver.current_url and screen.all(".item"),
        "the other trial's",
    )
    best = next(
        one["best"]
        for one in screen.api(f"/v1/optimizations/{shown}/trials")["data"]
        if one["strategy"] == "apo"
    )
    assert screen.find("#side-right").get_attribute("value") == best
    assert screen.complaints() == []


SHARES = """
    const [cases, done] = arguments;
    import("/assets/wording.js").then(({ share }) => done(JSON.stringify(cases.map(share))), String);"""


def test_a_share_is_rounded_as_in_the_report(screen: Screen) -> None:
    """25 of 40 is 0.62 in both: of a half Python takes the even neighbour, JavaScript alone the
    upper one.
    """
    screen.open("/")
    cases = [right / items for items in (8, 40, 80, 96, 100, 200) for right in range(items + 1)]
    assert json.loads(screen.driver.execute_async_script(SHARES, cases)) == [
        share(case) for case in cases
    ]


TICKS = """
    const [cases, done] = arguments;
    import("/assets/parts/scale.js").then(({ ticks }) => done(JSON.stringify(cases.map((one) => ticks(...one).labels))), String);"""


def axes_of_all_kinds() -> list[list[Any]]:
    """Low, high, how many at most, whole: as accuracies, rounds and calls have them."""
    rng, cases = Random(1), []
    for _ in range(400):
        low, high = sorted(round(rng.uniform(0, 1), rng.choice([1, 2, 3])) for _ in range(2))
        cases.append([low, high, rng.randint(2, 9), False])
        start = rng.choice([0, rng.randint(0, 50)])
        cases.append(
            [
                start,
                start + rng.choice([0, 1, 2, rng.randint(0, 10 ** rng.randint(1, 7))]),
                rng.randint(2, 20),
                True,
            ]
        )
    return [
        *cases,
        [0, 0, 6, True],
        [0.5, 0.6, 6, False],
        [1, 2, 6, True],
        [3, 2, 6, False],
        [-0.1, 0.4, 6, False],
    ]


def test_axes_are_those_of_the_report(screen: Screen) -> None:
    """Round ticks whose labels differ: tests/unit/cluster/results/test_ticks.py says it of the
    report's, these are the same.
    """
    screen.open("/")
    cases = axes_of_all_kinds()
    labels = json.loads(screen.driver.execute_async_script(TICKS, cases))
    assert len(labels) == len(cases)
    for (low, high, most, whole), told in zip(cases, labels, strict=True):
        assert tuple(told) == ticks(low, high, most, whole=whole).labels, (low, high, most, whole)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_curve_ends_where_it_ended(
    screen_of: ScreenOf, serve: ServeBackend, small: Small, tmp_path: Path, rounds: int
) -> None:
    course = tuple(replace(small.abo.rounds[0], number=number) for number in range(rounds))
    write_settings(ExperimentSettings.model_validate(SETTINGS), open_folder(tmp_path / "out"))
    write_trial(tmp_path / "out", replace(small.abo, status="budget", rounds=course))
    screen = screen_of(serve(ArchiveBackend([tmp_path / "out"])))
    screen.open("/")
    screen.open(f"/jobs/{screen.api('/v1/optimizations')['data'][0]['id']}", ".plot canvas")
    data = screen.until(
        lambda: screen.asked("return {...document.querySelector('.plot').dataset}").get("xRange"),
        "an axis",
    )
    assert data.split() == (["-0.5", "0.5"] if rounds == 1 else ["0", str(rounds - 1)])
    told = screen.asked("return {...document.querySelector('.plot').dataset}")
    assert told["xTicks"].split() == [str(number) for number in range(rounds)]
    assert len(set(told["yTicks"].split())) == len(told["yTicks"].split()) > 1
    assert screen.complaints() == []


IN_SIGHT = """
    const one = document.querySelector(arguments[0]);
    const at = one?.getBoundingClientRect();
    return Boolean(at) && at.top >= 0 && at.bottom <= innerHeight && at.left >= 0 && at.right <= innerWidth;"""


@pytest.mark.parametrize(
    ("view", "picked"),
    [
        ("lineage", "[role=treeitem][aria-selected=true]"),
        ("candidates", "tr.picked"),
        ("compare", "#side-right"),
    ],
)
def test_views_of_a_trial_open_on_the_winner(
    screen: Screen, shown: str, view: str, picked: str
) -> None:
    winner = screen.api(f"/v1/optimizations/{shown}/best/tasks")["data"][0]
    screen.open(f"/jobs/{shown}/{view}", picked)
    assert screen.find("#trial").get_attribute("value") == winner["trial"]
    assert "★" in screen.text("#trial option:checked")
    found = screen.find(picked)
    told = (
        found.get_attribute("value")
        if view == "compare"
        else found.get_attribute("aria-label") or found.text
    )
    assert told.startswith(winner["candidate"][:8])
    screen.until(lambda: screen.asked(IN_SIGHT, picked), "the winner is in sight")


def test_a_split_is_compared_for_itself(screen: Screen, shown: str) -> None:
    opened(screen, "compare", shown)
    left, right = (
        screen.find(f"#side-{side}").get_attribute("value") for side in ("left", "right")
    )
    found = screen.api(
        f"/v1/optimizations/{shown}/comparison?trial={TRIAL}&left={left}&right={right}"
    )
    for one in found["splits"]:
        told = screen.text(f"section[aria-label='On the {one['split']} split']")
        assert f"{one['items']} items answered under both" in told
        assert all(share(one[name]) in told for name in ("left_accuracy", "right_accuracy"))
        assert "95 % interval" in told
    for name in ("Test split", "Dev split"):
        screen.press(name, selector="main button")
        own = [item for item in found["items"] if item["split"] == name.partition(" ")[0].lower()]
        screen.until(
            lambda own=own: len(screen.all(".item")) == len(own), f"the items of the {name}"
        )
    assert screen.complaints() == []


def test_a_job_of_two_tasks_offers_the_best_prompt_of_each(
    screen_of: ScreenOf, serve: ServeBackend, small: Small, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_settings(
        ExperimentSettings.model_validate(SETTINGS | {"tasks": ["navigate", "object_counting"]}),
        open_folder(out),
    )
    write_trial(out, small.abo)
    write_trial(
        out,
        replace(
            small.abo, trial="object_counting-abo-s0", task="object_counting", dev_accuracy=0.25
        ),
    )
    screen = screen_of(serve(ArchiveBackend([out])))
    screen.open("/", ".job")
    told = screen.text(".job")
    assert "Best on dev, navigate" in told
    assert "Best on dev, object_counting\n0.25" in told
    screen.open(f"/jobs/{screen.api('/v1/optimizations')['data'][0]['id']}", ".best-of-task")
    assert len(screen.all(".best-of-task")) == 2
    screen.choose("form", "promptray")
    screen.press("Download prompt of object_counting")
    assert json.loads(screen.saved(".json").read_text())["trial"] == "object_counting-abo-s0"
    assert screen.serious_faults() == []
    screen.picture("job-two-tasks-light")
    assert screen.complaints() == []
