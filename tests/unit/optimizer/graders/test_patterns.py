"""Foreign patterns mean what they mean to Python's `re`, as far as they are taken."""

import re
import string
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.graders.reading.patterns import Unusable, compiled, why_unusable
from tests.contracts.examples import examples

ALIKE = [
    r"\d+",
    r"\D*",
    r"\w+",
    r"\W+",
    r"\s*",
    r"\S+",
    r"[\w-]+",
    r"[\w.]+@[\w.]+",
    r"[^\W\d_]+",
    r"[\s\S]*",
    r"[\d\D]*",
    r"[^\s,]+",
    r"[\W]+",
    r"[\D]+",
    r"[\S]+",
    r"[^\D]+",
    r"[^\S]+",
    r"(?i)[a-z]+",
    r"(?i)ja|nein",
    r"(?i:ß)x?",
    r"(?s).*",
    r".*",
    r"(?a)\w+",
    r"(?ai)[\w]+",
    r"(?u)\w+",
    r"(?P<year>\d{4})-(?P<month>\d\d)",
    r"(?#a year)\d+",
    r"a{,3}",
    r"a{,}",
    r"a{2,}",
    r"\$?\d+(?:\.\d+)?",
    r"\u00e9+",
    r"\x41\101\0?",
    r"[]a]+",
    r"[^]a]+",
    r"[[:alpha:]]?",
    r"[[a]+",
    r"[\b]",
    r"\A\w*\Z",
    r"^\w*$",
    r"(a+)+b?",
    r"\é+",
    r"\-\.\ \_?",
    "\\\n?",
    r"[(?i)]+",
    r"[a{,3}]+",
    r"[\]\[]+",
    r"(?:a|b)|c",
    "",
    r"\t|\n|\r|\f|\v|\a",
    r"[\u4e00-\u9fff]+",
    r"(?m)^a$",
    "größe|länge",
    r"x*?y+?z??",
]
ALPHABET = st.sampled_from(
    [*string.printable, *"éßäÖ日本١٣²Ⅷ‿_\u00a0\u2003\u2028\u0301ñΣ\u03c3ς", "\U0001f600"]
)


WORDS = [
    "Ja",
    "JA",
    "größe",
    "a-b",
    "1999-12",
    "a@b.c",
    "٣",
    "aaa",
    "\x08",
    "ab",
    "日本",
    "[:alpha:]",
    "A\x41",
    "éé",
]


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize("pattern", ALIKE)
@settings(max_examples=examples(40))
@given(
    text=st.one_of(
        st.text(ALPHABET, max_size=12),
        st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=4),
        st.sampled_from(WORDS),
    )
)
def test_a_pattern_means_what_it_means_to_python(pattern: str, text: str) -> None:
    assert compiled(pattern).matches(text) == (re.fullmatch(pattern, text) is not None)


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"(a)\1", "refers back"),
        ("(?P<x>a)(?P=x)", "refers back"),
        ("(?=a)a", "looks ahead"),
        ("(?!a)b", "looks ahead"),
        ("(?<=a)b", "looks behind"),
        ("(?<!a)b", "looks behind"),
        ("(?>a)", "atomic"),
        ("(a)?(?(1)b|c)", "depends on"),
        ("a++", "repetition"),
        ("(?x) a", "flag x"),
        ("(?L)a", "flag L"),
        ("(?a:a)", "flag a"),
        (r"\h", r"no escape \h"),
        (r"\Qa\E", r"no escape \Q"),
        (r"\N{DIGIT ONE}", r"no escape \N"),
        (r"\xz", "no escape"),
        (r"\u12", "no escape"),
        ("a{1001}", "1000 times"),
        ("((a{50}){50}){50}", "1000 times"),
        (r"\w{1,900}", "too large"),
        ("(", "not a regular"),
        ("[a", "not a regular"),
        ("(?#a", "not a regular"),
        ("*a", "not a regular"),
        ("[z-a]", "not a regular"),
        ("\\", "not a regular"),
        ("x" * 10_001, "longer than"),
        ("\ud800", "half of a character"),
        (r"\w" * 300, "classes"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_in_one_sentence(pattern: str, fault: str) -> None:
    said = why_unusable(pattern)
    assert said is not None
    assert fault in said
    assert "\n" not in said
    assert len(said) < 250


def test_words_beyond_ascii_are_words() -> None:
    assert compiled(r"\w+").matches("größe")
    assert compiled(r"\d+").matches("٣٤")
    assert not compiled(r"(?a)\w+").matches("größe")


def test_what_is_re2s_own() -> None:
    """Said in the README: word boundaries are those of ASCII words, and letters fold to their other
    case alone.
    """
    assert compiled(r".*\b42\b.*").matches("it is 42.")
    assert compiled(r".*\bre\b.*").matches("éré re é")
    assert compiled(r"gr\b.*").matches("größe")
    assert compiled("(?i)i").matches("I")
    assert not compiled("(?i)i").matches("\u0130")
    assert not compiled("(?i)i").matches("\u0131")
    assert compiled("(?i)\u0130").matches("\u0130")


def test_an_answer_with_half_a_character_matches_or_does_not() -> None:
    assert not compiled("ab").matches("a\ud800b")
    assert compiled("a.b").matches("a\ud800b")


def test_a_search_gives_the_named_groups() -> None:
    found = compiled(r"^capital of (?P<land>\w+)(?P<rest>x)?", lines=True).search(
        "What?\ncapital of Österreich ..."
    )
    assert found == {"land": "Österreich", "rest": ""}
    assert compiled("", lines=True).search("any") == {}
    assert compiled("^b", lines=True).search("ab") is None


@given(st.text(max_size=40))
def test_no_pattern_raises_anything_else(pattern: str) -> None:
    with suppress(Unusable):
        compiled(pattern).matches(pattern)
