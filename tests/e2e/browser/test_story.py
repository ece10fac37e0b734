"""The whole story, in a browser: upload, estimate, start, watch, look into it, cancel, resume, take
it away.
"""

import json
from pathlib import Path

import pytest

from tests.e2e.browser.conftest import ScreenOf, Told
from tests.e2e.browser.screen import Screen

APO = '{"rounds": 1, "minibatch": 4, "beam": 1, "max_children": 1}'
ABO = '{"rounds": 2, "decompositions": 1, "minibatch": 4, "children": 2}'
NUMBERS = {"train": "8", "dev": "6", "test": "4", "target_calls": "150", "optimizer_calls": "80"}
POINTS = (
    "return [...document.querySelectorAll('.plot')].reduce((sum, plot) => sum + "
    "Number(plot.dataset.points), 0)"
)


def fill_in(screen: Screen, data: Path) -> None:
    screen.find("#upload").send_keys(str(data))
    rows = len(json.loads(data.read_text("utf-8"))["examples"])
    screen.sees(f"{rows} rows")
    assert len(screen.all("table.rows tbody tr")) == 5
    assert "do you return to the starting point" in screen.text("table.rows")
    for strategy, settings in (("apo", APO), ("abo", ABO)):
        assert screen.find(f"input[value={strategy}]").is_selected()
        screen.asked(
            "arguments[0].closest('li').querySelector('details').open = true",
            screen.find(f"input[value={strategy}]"),
        )
        screen.fill(f"settings-{strategy}", settings)
    for field, number in NUMBERS.items():
        screen.fill(field, number)


def cancel_and_resume(screen: Screen, told: Told) -> None:
    screen.press("Cancel")
    screen.sees("cancelled", ".job-head", told.patience_s)
    assert not screen.complaints()
    screen.press("Resume")
    screen.until(
        lambda: "cancelled" not in screen.text(".job-head .badge"),
        "the job goes on",
        told.patience_s,
    )
    screen.sees("job.resumed", ".log")


def take_away(screen: Screen) -> None:
    screen.choose("form", "openai")
    screen.press("Download prompt")
    assert json.loads(screen.saved(".openai.json").read_text())["messages"][-1]["role"] == "user"
    screen.choose("form", "dspy")
    screen.press("Download prompt")
    assert "signature" in json.loads(screen.saved(".dspy.json").read_text())
    screen.choose("form", "mlflow")
    screen.press("Download prompt")
    assert "template" in json.loads(screen.saved(".mlflow.json").read_text())
    screen.press("candidates.parquet")
    assert screen.saved("candidates.parquet").read_bytes().startswith(b"PAR1")
    screen.press("Report")
    assert b"<html" in screen.saved(".html").read_bytes()[:500]


@pytest.mark.slow
def test_from_upload_to_download(screen_of: ScreenOf, told: Told, shared_data: Path) -> None:
    screen = screen_of(told.address)
    screen.open("/new")
    if told.key:
        screen.asked("sessionStorage.setItem('promptray-key', arguments[0])", told.key)
        screen.open("/new")
    fill_in(screen, shared_data / "bbh" / "navigate.json")
    screen.press("Estimate")
    screen.sees("2", ".estimate dd")
    screen.picture("new-estimate-light")
    screen.press("Start")
    screen.until(lambda: "/jobs/opt-" in screen.driver.current_url, "the new job")
    job = screen.driver.current_url.rpartition("/")[2]
    first = screen.until(lambda: screen.asked(POINTS), "a first point of a curve", told.patience_s)
    screen.picture("job-running-light")
    cancel_and_resume(screen, told)
    screen.until(lambda: screen.asked(POINTS) > first, "curves that grow", told.patience_s)
    screen.sees("succeeded", ".job-head", told.patience_s)
    screen.sees("job.succeeded", ".log")
    take_away(screen)
    look_into(screen, job)
    assert not screen.complaints()


def look_into(screen: Screen, job: str) -> None:
    trial = next(
        one["id"]
        for one in screen.api(f"/v1/optimizations/{job}/trials")["data"]
        if one["strategy"] == "abo"
    )
    screen.open(f"/jobs/{job}/lineage?trial={trial}", "[role=treeitem]")
    tree = screen.api(f"/v1/optimizations/{job}/tree?trial={trial}")
    assert len(screen.all("[role=treeitem]")) == len(tree["id"])
    child = next(place for place, parent in enumerate(tree["parent"]) if parent is not None)
    screen.asked("document.querySelectorAll('[role=treeitem][aria-level=\"2\"]')[0].click()")
    screen.sees("Changed from its parent", "aside")
    assert screen.all("aside .diff ins") or screen.all("aside .diff del")
    screen.picture("lineage-after-story-light")
    left, right = tree["id"][tree["parent"][child]], tree["id"][child]
    screen.press("Compare with its parent")
    screen.sees("Agreement")
    screen.open(f"/jobs/{job}/compare?trial={trial}&left={left}&right={right}", ".item")
    items = screen.api(
        f"/v1/optimizations/{job}/comparison?trial={trial}&left={left}&right={right}"
    )
    assert sum(items["counts"].values()) == len(items["items"])
    own = [
        item for item in items["items"] if item["split"] == items["items"][-1]["split"]
    ]  # the test split's, if there are any
    assert len(screen.all(".item")) == len(own)
    place = next((place for place, item in enumerate(own) if item["right"]["steps"]), 0)
    screen.all(".item > summary")[place].click()
    screen.find(".item[open] .item-body")
    states = {step["state"] for side in ("left", "right") for step in own[place][side]["steps"]}
    assert {
        state
        for state in ("followed", "skipped", "wrong")
        if screen.all(f".item[open] .step.{state}")
    } == states
    screen.picture("compare-open-light")


def test_faulty_rows_are_named(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "target": "b"}\n{"input": "<b>x</b>"}\n')
    screen.open("/new")
    screen.find("#upload").send_keys(str(tmp_path / "rows.jsonl"))
    said = screen.find("[role=alert]").text
    assert "rows.jsonl" in said
    assert "2" in said
    assert not screen.all("table.rows")
    screen.press("Start")
    screen.sees("upload a data set")
    screen.picture("new-faulty-light")


def test_a_cut_line_goes_on_where_it_was(screen: Screen) -> None:
    screen.open("/")
    job = screen.driver.execute_async_script(
        "const done = arguments[0]; fetch('/v1/optimizations', {method: 'POST', headers: "
        "{'Content-Type': 'application/json'},"
        "body: JSON.stringify({tasks: [{generated: 'navigate'}], strategies: ['apo']})}).then((a) "
        "=> a.json())"
        ".then((job) => done(job.id))"
    )
    screen.open(f"/jobs/{job}")
    screen.until(lambda: len(screen.all(".log li")) > 2, "first events")
    screen.offline(True)
    screen.sees("reconnecting", "main", 5)
    screen.offline(False)
    screen.sees("succeeded", ".job-head", 20)
    last = screen.api(f"/v1/optimizations/{job}")["last_event"]
    screen.until(lambda: len(screen.all(".log li")) == last, "every event, each once")
