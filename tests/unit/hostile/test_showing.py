"""What is shown of hostile texts: a terminal obeys nothing, and the pages hold no element of
theirs.
"""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from rich.table import Table
from rich.text import Text

from cluster.cli.console import SafeConsole, end
from cluster.results.folder import read_trials, write_results, write_trial
from cluster.results.markdown import fenced
from cluster.results.page import report_page
from cluster.trial.result import Sample, TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt, Step
from serving.engines.vllm_prompts import any_of, harmless
from tests.contracts import hostile

URLS = ("href", "src", "action", "formaction", "srcdoc", "data", "xlink:href")
OURS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "h1",
    "h2",
    "h3",
    "h4",
    "span",
    "button",
    "main",
    "p",
    "b",
    "code",
    "dl",
    "dt",
    "dd",
    "section",
    "div",
    "small",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "a",
    "details",
    "summary",
    "ol",
    "ul",
    "li",
    "ins",
    "del",
    "footer",
    "script",
}
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "id",
    "type",
    "style",
    "href",
    "title",
    "open",
    "data-sign",
}


class Page(HTMLParser):
    """Every element and attribute of a page, and what stands in its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.cdata_elem == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)


def check_page(page: str, planted: str) -> None:
    """Raises AssertionError where anything of the page is not the template's."""
    read = Page(page)
    assert {tag for tag, _ in read.elements} <= OURS
    assert {name for _, attributes in read.elements for name in attributes} <= ATTRIBUTES
    signs = {
        attributes["data-sign"] or ""
        for _, attributes in read.elements
        if "data-sign" in attributes
    }
    assert all(re.fullmatch(r"[·↵→␍]|U\+[0-9A-F]{4,6}", sign) for sign in signs)
    assert not read.comments
    links = [
        attributes[name] or ""
        for _, attributes in read.elements
        for name in URLS
        if name in attributes
    ]
    assert all(re.fullmatch(r"#[\w-]+", link) for link in links)
    kinds = [kind for kind, _ in read.scripts]
    assert kinds == ["application/json", None, None]
    assert all(planted not in text for kind, text in read.scripts if kind is None)
    json.loads(read.scripts[0][1])


def hostile_trial(text: str) -> TrialResult:
    first = Candidate(Prompt(text + " first", (Step("old"),)), text, 0)
    best = Candidate(
        Prompt(text, (Step(text),), (Demonstration(text, text),), text), text, 1, first.id, text, 1
    )
    rounds = (
        Round(0, (Standing(first, 0.2, 5, None, True),), text),
        Round(1, (Standing(best, 0.5, 10, 1.0, True),), text),
    )
    return TrialResult(
        trial="hostile",
        task=text,
        strategy=text,
        selection=text,
        seed=0,
        target=text,
        optimizer=text,
        status="finished",
        seed_prompt=Prompt(text),
        best=best,
        rounds=rounds,
        seed_prompt_test_accuracy=0.1,
        test_accuracy=0.5,
        test_low=0.4,
        test_high=0.6,
        verdict="better",
        samples=(
            Sample(
                input=text, gold=text, before=text, after=text, right_before=None, right_after=True
            ),
        ),
        error=text,
        calls_by_purpose={"test": 1},
        settings={"strategy": text, "abo.beam": text},
    )


@pytest.mark.parametrize("text", hostile.SHORT)
def test_the_report_holds_no_element_of_a_hostile_text(text: str) -> None:
    planted = "planted-by-data-" + text
    check_page(report_page([hostile_trial(planted)], {"task": planted}), "planted-by-data-")


def test_a_planted_element_is_seen() -> None:
    page = report_page([hostile_trial("x")], {})
    for evil in (
        "<img src=x>",
        "<script>alert(1)</script>",
        '<a href="javascript:alert(1)">x</a>',
        '<p onload="x">',
        "<!-- x -->",
    ):
        with pytest.raises(AssertionError):
            check_page(page.replace("<main>", "<main>" + evil), "planted")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, marks=[pytest.mark.slow] if len(text) > 10_000 else [])
        for text in hostile.ALL
    ],
)
def test_results_with_hostile_texts_are_written_and_read_back_equal(
    tmp_path: Path, text: str
) -> None:
    result = replace(hostile_trial(text), trial="hostile")
    write_trial(tmp_path, result)
    write_results(tmp_path, [result], {})
    assert read_trials(tmp_path) == [result]
    best = json.loads((tmp_path / "best" / "hostile.json").read_bytes())
    assert result.best is not None
    assert Prompt.from_json(best["prompt"]) == result.best.prompt
    row = pq.read_table(tmp_path / "candidates.parquet").to_pylist()[-1]
    assert Prompt.from_json(json.loads(row["prompt"])) == result.best.prompt
    assert pq.read_table(tmp_path / "trials.parquet").num_rows == 1
    assert (tmp_path / "best" / "hostile.md").read_bytes().decode()


@given(text=hostile.HOSTILE)
def test_a_fence_holds_any_text(text: str) -> None:
    first, *_, last = fenced(text).split("\n")
    assert last == first.removesuffix("text")
    assert last not in [line.strip() for line in text.split("\n")]


@pytest.mark.parametrize("text", hostile.SHORT)
def test_a_terminal_is_given_nothing_to_obey(text: str) -> None:
    out = StringIO()
    console = SafeConsole(file=out, width=100, force_terminal=True, color_system=None)
    table = Table()
    table.add_column("x")
    table.add_row(Text(text))
    console.print(Text(text), table, Text(f"[bold]{text}"), soft_wrap=True)
    shown = out.getvalue()
    shown.encode()
    assert not set(re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown))
    assert "[bold]" in shown


def test_colours_of_our_own_stay() -> None:
    out = StringIO()
    SafeConsole(file=out, force_terminal=True, color_system="standard").print(
        Text("red \x1b[5m", "red")
    )
    assert out.getvalue() == "\x1b[31mred \\x1b[5m\x1b[0m\n"


def test_a_last_sentence_is_one_line_and_not_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        end("a\nb" + hostile.LONG, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 3000


def test_tokens_that_overlap_are_all_taken_apart() -> None:
    specials = any_of(["<|a|>", "|><|", "<|end|>"])
    assert specials is not None
    for text in ("<|a|><|a|>", "<|<|end|>end|>", hostile.CHAT_TOKENS, "|><|><|"):
        assert not specials.search(harmless(text, specials))
