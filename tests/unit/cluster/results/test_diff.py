"""The word diff loses nothing, and reads well."""

from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.results.page import _environment
from cluster.text.diff import Piece, word_diff

WORDS = st.lists(
    st.sampled_from(["step", "write", "the", " ", "  ", "\n", "x,", "\t", "é"]), max_size=30
).map("".join)


def joined(pieces: tuple[Piece, ...], without: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != without)


@given(WORDS | st.text(), WORDS | st.text())
def test_both_texts_can_be_read_back(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert joined(pieces, without="added") == old
    assert joined(pieces, without="removed") == new
    assert all(piece.text for piece in pieces)


def test_only_the_changed_words_are_marked() -> None:
    old, new = (
        "Write the position after each and every move.",
        "Write the exact position after each and every move.",
    )
    assert [piece for piece in word_diff(old, new) if piece.kind != "same"] == [
        Piece("added", " exact")
    ]


def test_texts_with_little_in_common_stand_one_after_the_other() -> None:
    old, new = "Be very careful.", "List all of the moves."
    assert word_diff(old, new) == (Piece("removed", old), Piece("added", new))


def test_a_chance_word_between_two_changes_is_not_kept_apart() -> None:
    old, new = (
        "1. List the moves.\n2. Keep track of where you are.",
        "1. List the moves.\n2. Write each one of these down.",
    )
    assert [piece.kind for piece in word_diff(old, new)] == ["same", "removed", "added"]


def test_equal_texts_have_no_changes() -> None:
    assert word_diff("a b", "a b") == (Piece("same", "a b"),)
    assert word_diff("", "") == ()


HARD = st.lists(
    st.sampled_from(
        [
            "_",
            "*",
            "__x__",
            "`",
            "```",
            "#",
            "- ",
            "word",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\r",
            "\t",
            "<b>",
            "&amp;",
            "&",
            "\u00a0",
            "\u200b",
            "\u202e",
            "\u2028",
            "\x07",
            "\x0c",
            "\x85",
            "é",
            "\ud800",
        ]
    ),
    max_size=25,
).map("".join)


class Shown(HTMLParser):
    """What a browser makes of a diff: the text of each side, and the signs that stand for what no
    eye sees.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.old = self.new = ""
        self.signs: list[tuple[str, str]] = []
        self._open: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append((tag, dict(attrs).get("data-sign")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        kinds = [tag for tag, _ in self._open]
        self.old += "" if "ins" in kinds else data
        self.new += "" if "del" in kinds else data
        if kinds[-1:] == ["span"]:
            self.signs.append((data, str(self._open[-1][1])))


MARKUP = _environment().get_template("diff.html.j2").module


def diff_markup(pieces: tuple[Piece, ...]) -> str:
    """As the report has it."""
    return str(MARKUP.diff(pieces))  # type: ignore[attr-defined]


def shown(old: str, new: str) -> Shown:
    markup = diff_markup(word_diff(old, new))
    assert "\r" not in markup, (
        "a browser reads a carriage return in a page as a line end; only its reference stays"
    )
    found = Shown()
    found.feed(markup)
    found.close()
    assert not found._open
    return found


@given(WORDS | HARD | st.text(), WORDS | HARD | st.text())
def test_a_diff_without_its_marks_is_both_texts_to_the_letter(old: str, new: str) -> None:
    found = shown(old, new)
    assert found.old == old.replace("\0", "")
    assert found.new == new.replace("\0", "")


@given(HARD, HARD)
def test_nothing_that_no_eye_sees_is_left_without_a_sign(old: str, new: str) -> None:
    signed = Counter(text for text, _ in shown(old, new).signs)
    unseen = Counter(
        letter for letter in old + new if letter in "\n\r\t\u00a0\u200b\u202e\u2028\x07\x0c\x85"
    )
    pieces = word_diff(old, new)
    twice = Counter(letter for piece in pieces if piece.kind == "same" for letter in piece.text)
    assert all(signed[letter] + twice[letter] >= number for letter, number in unseen.items())


@pytest.mark.parametrize(
    ("old", "new", "signs"),
    [
        ("a b", "a  b", [" "] * 3),  # the blank that went, and the two that came
        ("a", "a ", [" "]),
        ("a", " a", [" "]),
        ("a\n", "a", ["\n"]),
        ("a\tb", "a b", ["\t", " "]),
        ("a\r\nb", "a\nb", ["\r", "\n"]),
        ("one _two_ *three*", "one _two_ *four*", []),
        ("say it", "say it now", []),
    ],
)
def test_blanks_at_an_edge_and_ends_of_lines_have_signs(
    old: str, new: str, signs: list[str]
) -> None:
    assert [text for text, _ in shown(old, new).signs] == signs


def test_markup_in_a_prompt_stays_text() -> None:
    markup = diff_markup(word_diff("<img src=x> `a` __b__", "<img src=x> `a` __c__ _d"))
    assert "<img" not in markup
    assert "&lt;img src=x&gt; `a`" in markup
    assert "__c__ _d" in markup
