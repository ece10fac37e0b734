"""The whole story in a browser, on a running service: upload, estimate, start, watch, compare, cancel, resume, take away."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from tests.service_tests.browser.conftest import Sight

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
SOON_MS = 60_000
JOB_MS = 240_000
expect.set_options(timeout=SOON_MS)
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> {{7*7}} ${7*7} {% raw %}"


def fill(page: Page, label: str, text: str) -> None:
    page.get_by_label(label, exact=True).fill(text)


def test_a_person_finds_a_better_prompt_and_takes_it_away(
    service: str, sight: Sight, shared_data: Path, tmp_path: Path
) -> None:
    page = sight.page
    page.set_default_timeout(SOON_MS)
    page.goto(service)
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    sight.shoot("empty")

    page.get_by_role("link", name="Start one").click()
    page.get_by_label("Upload a file").set_input_files(shared_data / "bbh" / "navigate.json")
    first_rows = page.get_by_role("region", name="First rows")
    expect(first_rows).to_contain_text("150 rows")
    expect(first_rows).to_contain_text("If you follow these instructions")
    page.get_by_text("Scorer, first prompt, splits").click()
    for split, size in (("train", 20), ("dev", 16), ("test", 24)):
        fill(page, f"{split} split", str(size))
    fill(page, "target calls", "900")
    fill(page, "optimizer calls", "200")
    fill(page, "Name", "navigate-bbh")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator(".estimate")).to_contain_text("at most", ignore_case=True)
    expect(page.locator(".estimate h3")).to_have_text("It can pay")
    sight.shoot("new")

    page.get_by_role("button", name="Start the optimization").click()
    expect(page).to_have_url(re.compile(r"/jobs/opt-"))
    job = page.url
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator(".crumbs + .row .status")).to_contain_text("running")
    sight.shoot("running")

    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".crumbs + .row .status")).to_contain_text("cancelled")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".crumbs + .row .status")).to_contain_text("succeeded", timeout=JOB_MS)
    expect(page.locator(".verdict.is-better").first).to_be_visible()
    sight.shoot("job")
    lineage(sight)
    comparison(sight)
    events(sight)
    page.goto(job)
    take_away(page, tmp_path)
    page.get_by_role("link", name="Jobs", exact=True).first.click()
    expect(page.get_by_role("rowheader").first).to_contain_text("navigate-bbh")
    sight.shoot("jobs")


def lineage(sight: Sight) -> None:
    page = sight.page
    page.get_by_role("link", name="Lineage", exact=True).click()
    chosen = page.locator(".tree .chosen")
    expect(chosen).to_have_attribute("aria-label", re.compile("^Best candidate, "))
    expect(page.locator(".detail ins").first).to_be_visible()
    sight.shoot("lineage")
    chosen.focus()
    page.keyboard.press("ArrowLeft")
    expect(chosen).to_have_attribute("aria-level", re.compile("[1-9]"))
    expect(chosen).not_to_have_attribute("aria-label", re.compile("^Best candidate, "))
    expect(chosen).to_be_focused()


def comparison(sight: Sight) -> None:
    page = sight.page
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page.locator(".counts")).to_contain_text("right wins")
    expect(page.locator(".item.wins-right .steps .is-followed").first).to_be_visible()
    expect(page.locator("#who + p")).to_contain_text(re.compile("p [=<]"))
    sight.shoot("compare")
    page.get_by_label("Show").select_option("left")
    expect(page.locator(".item.wins-right")).to_have_count(0)


def events(sight: Sight) -> None:
    page = sight.page
    page.get_by_role("link", name="Events", exact=True).click()
    for kind in ("job.queued", "job.cancelled", "job.resumed", "trial.round", "trial.finished", "job.succeeded"):
        expect(page.locator(".events .kind", has_text=kind).first).to_be_visible()
    numbers = page.locator(".events li").evaluate_all("rows => rows.map((row) => row.value)")
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    sight.shoot("events")


def take_away(page: Page, folder: Path) -> None:
    def saved(name: str) -> Path:
        page.get_by_text("Download", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        place = folder / download.value.suggested_filename
        download.value.save_as(place)
        page.keyboard.press("Escape")
        return place

    assert json.loads(saved("Prompt, for promptray apply").read_text())["prompt"]["steps"]
    messages = json.loads(saved("As OpenAI messages").read_text())
    assert any("{" in json.dumps(one) for one in messages["messages"])
    assert json.loads(saved("As a DSPy program's state").read_text())
    assert json.loads(saved("As an MLflow prompt").read_text())
    assert pq.read_table(saved("trials.parquet")).num_rows == 2
    page.get_by_text("Download", exact=True).click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report (opens)").click()
    expect(opened.value.get_by_role("heading").first).to_be_visible()
    opened.value.close()


def test_hostile_data_is_text(service: str, sight: Sight, tmp_path: Path) -> None:
    page = sight.page
    rows = [{"input": f"{HOSTILE} {number}", "target": f"{number} {HOSTILE}"} for number in range(30)]
    (tmp_path / "hostile.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page.goto(f"{service}/new")
    page.get_by_label("Upload a file").set_input_files(tmp_path / "hostile.jsonl")
    expect(page.get_by_role("region", name="First rows")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.get_by_role("region", name="First rows")).to_contain_text("{{7*7}} ${7*7}")
    assert page.locator("main img, main script").count() == 0


def test_faulty_rows_are_named(service: str, sight: Sight, tmp_path: Path) -> None:
    page = sight.page
    (tmp_path / "faulty.jsonl").write_text('{"input": "a", "target": "b"}\n{"input": "c"}\n{"target": "d"}\n')
    page.goto(f"{service}/new")
    page.get_by_label("Upload a file").set_input_files(tmp_path / "faulty.jsonl")
    expect(page.get_by_role("alert")).to_contain_text("2")
    expect(page.get_by_role("alert")).to_contain_text("3")
