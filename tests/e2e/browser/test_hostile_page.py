"""Results, replies and data full of HTML, script and template syntax are shown as text; the page's
own code makes no markup.
"""

import json
import re
from pathlib import Path
from random import Random

import pytest

import cluster.service
from cluster.service.backends.archive import ArchiveBackend
from cluster.text.diff import word_diff
from cluster.text.signs import signed
from tests.contracts import hostile
from tests.e2e.browser.conftest import ScreenOf, ServeBackend
from tests.e2e.browser.screen import Screen
from tests.unit.cluster.service.http.test_hostile import TRIAL, planted

MARKUP = (
    "<img src=x onerror=window.hit=1><script>window.hit=1</script><b id=planted>bold</b>"
    "<a id=planted href='javascript:hit=1'>x</a>"
    "{{constructor.constructor('window.hit=1')()}}${window.hit=1}<%= 7*7 "
    "%>\u202e\u2028</textarea><svg onload=window.hit=1>"
)
PAGE = Path(cluster.service.__file__).parent / "web"
MAKES_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new "
    r"Function|setAttribute\(.on|javascript:"
)
FOREIGN = (
    "return document.querySelectorAll('#planted, main img, main script, main svg[onload], body > "
    "script').length"
)


def unharmed(screen: Screen) -> None:
    assert screen.asked("return window.hit") is None
    assert screen.asked(FOREIGN) == 0
    assert screen.complaints() == []


def test_what_results_say_is_text(screen_of: ScreenOf, serve: ServeBackend, tmp_path: Path) -> None:
    result = planted(tmp_path / "out", MARKUP)
    screen = screen_of(serve(ArchiveBackend([tmp_path / "out"])))
    screen.open("/")
    unharmed(screen)
    job, best = (
        screen.api("/v1/optimizations")["data"][0]["id"],
        result.best.id if result.best else "",
    )
    for path, shows in (
        ("", ".log li"),
        (f"/lineage?trial={TRIAL}&candidate={best}", "aside .diff"),
        (f"/candidates?trial={TRIAL}&candidate={best}", "aside .diff"),
        (f"/compare?trial={TRIAL}&left={result.seed_prompt.id}&right={best}", ".item"),
    ):
        screen.open(f"/jobs/{job}{path}", shows)
        screen.asked("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        screen.sees("<script>window.hit=1</script>")
        screen.sees("{{constructor.constructor('window.hit=1')()}}")
        unharmed(screen)
    screen.picture("hostile-compare-light")


DRAWN = """
    const [cases, done] = arguments;
    Promise.all([import("/assets/dom.js"), import("/assets/parts/diff.js")]).then(([{ html, render }, { Diff }]) => {
      const box = document.createElement("div");
      const text = (left) => {
        const copy = box.querySelector(".diff").cloneNode(true);
        copy.querySelectorAll(`.unseen, ${left}`).forEach((one) => one.remove());
        return copy.textContent;
      };
      done(JSON.stringify(cases.map((pieces) => {
        render(html`<${Diff} pieces=${pieces} label="x" />`, box);
        const signs = [...box.querySelectorAll(".sign")].map((one) => [one.textContent, one.dataset.sign]);
        return { old: text("ins"), new: text("del"), signs };
      })));
    }, (problem) => done(JSON.stringify(String(problem))));"""
HARD = [
    "_",
    "*",
    "__x__",
    "`",
    "#",
    "- ",
    "word",
    " ",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "<b>",
    "&amp;",
    "\u00a0",
    "\u200b",
    "\u202e",
    "\u2028",
    "\x07",
    "é",
    "\U0001f469",
    ".",
    "Step 1:",
]


def test_a_diff_without_its_marks_is_both_prompts_to_the_letter(screen: Screen) -> None:
    """As tests/unit/cluster/results/test_diff.py says it of the report, whose signs are the same."""
    rng = Random(2)
    made = ["".join(rng.choices(HARD, k=rng.randint(0, 25))) for _ in range(600)]
    texts = list(zip(made[::2], made[1::2], strict=True))
    pairs = [
        *texts,
        *((old, old + " ") for old, _ in texts[:50]),
        ("a_b *c*", "a_b\t*d*\n"),
        ("", ""),
        ("", "\n"),
    ]
    screen.open("/")
    cases = [
        [{"kind": piece.kind, "text": piece.text} for piece in word_diff(*pair)] for pair in pairs
    ]
    for (old, new), drawn in zip(
        pairs, json.loads(screen.driver.execute_async_script(DRAWN, cases)), strict=True
    ):
        assert (drawn["old"], drawn["new"]) == (old, new)
        parts = [part for piece in signed(word_diff(old, new)) for part in piece if part.sign]
        assert [tuple(one) for one in drawn["signs"]] == [(part.text, part.sign) for part in parts]
    assert screen.complaints() == []


def test_no_line_hides_an_underscore(
    screen_of: ScreenOf, serve: ServeBackend, tmp_path: Path
) -> None:
    result = planted(tmp_path / "out", "__x__ *y* `z` a_b \t\n ")
    screen = screen_of(serve(ArchiveBackend([tmp_path / "out"])))
    screen.open("/")
    job = screen.api("/v1/optimizations")["data"][0]["id"]
    screen.open(
        f"/jobs/{job}/candidates?trial={TRIAL}&candidate={result.best.id if result.best else ''}",
        "aside .diff ins",
    )
    style = (
        "const s = getComputedStyle(document.querySelector(arguments[0]));"
        "return [s.textDecorationLine, parseFloat(s.paddingBottom)]"
    )
    for tag in ("ins", "del"):
        line, room = screen.asked(style, f"aside .diff {tag}")
        assert line == "none"
        assert room >= 2, "the border below would lie on the underscores"
    assert (
        screen.asked(
            "return getComputedStyle(document.querySelector('aside .diff .sign'), "
            "'::before').content"
        )
        != "none"
    )
    screen.picture("diff-signs-light")


@pytest.mark.parametrize("text", hostile.SHORT[:4])
def test_other_odd_texts_break_nothing(
    screen_of: ScreenOf, serve: ServeBackend, tmp_path: Path, text: str
) -> None:
    result = planted(tmp_path / "out", text)
    screen = screen_of(serve(ArchiveBackend([tmp_path / "out"])))
    screen.open("/")
    job = screen.api("/v1/optimizations")["data"][0]["id"]
    screen.open(
        f"/jobs/{job}/candidates?trial={TRIAL}&candidate={result.best.id if result.best else ''}",
        "aside .diff",
    )
    unharmed(screen)


def test_what_a_data_file_says_is_text(screen: Screen, tmp_path: Path) -> None:
    quoted = MARKUP.replace('"', "'")
    (tmp_path / "<b>data.csv").write_text(
        f'input,target\n"{quoted}","{quoted}"\n"b","c"\n', encoding="utf-8"
    )
    screen.open("/new")
    screen.find("#upload").send_keys(str(tmp_path / "<b>data.csv"))
    screen.sees("<script>window.hit=1</script>", "table.rows")
    unharmed(screen)
    screen.open("/files", "table.rows")
    screen.sees("{{constructor", "table.rows")
    unharmed(screen)


def test_our_code_makes_no_markup_and_names_no_other_place() -> None:
    sources = [
        *(PAGE / "assets").rglob("*.js"),
        *(PAGE / "assets").rglob("*.css"),
        PAGE / "index.html",
    ]
    assert len(sources) > 20
    for source in sources:
        text = source.read_text("utf-8")
        assert not MAKES_MARKUP.search(text), source
        assert not re.search(
            r"https?://|[\"'(]//", text.replace("http://www.w3.org/2000/svg", "")
        ), source
    assert not re.search(
        r"<style|style=|\son\w+=|<script>", (PAGE / "index.html").read_text("utf-8")
    )


def test_every_library_has_its_license() -> None:
    vendor = PAGE / "vendor"
    names = re.findall(
        r'"([\w-]+)": "\d',
        (vendor / "package.json").read_text("utf-8").partition("devDependencies")[0],
    )
    assert len(names) == 5
    assert {f"LICENSE-{name}.txt" for name in names} == {
        file.name for file in vendor.glob("LICENSE-*")
    }
    assert '"resolved"' not in (vendor / "package-lock.json").read_text("utf-8")
