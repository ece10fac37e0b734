"""Names of kept parts become texts of the baseline, or one clear sentence says why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import SettingsError
from optimizer.kept_parts import fault_of, read_baseline

TEXT = """Intro.

# Policies

## Refunds
Thirty days.
```
# no heading
```
### Exceptions
None.

## Tone ##
Be kind.

# Form
One line.
"""


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("## Refunds", "## Refunds\nThirty days.\n```\n# no heading\n```\n### Exceptions\nNone."),
        ("Refunds", "## Refunds\nThirty days.\n```\n# no heading\n```\n### Exceptions\nNone."),
        ("### Exceptions", "### Exceptions\nNone."),
        ("Tone", "## Tone ##\nBe kind."),
        ("# Form", "# Form\nOne line."),
        ("Thirty days.", "Thirty days."),
        (" Be kind.\n", "Be kind."),
        ("days.\n```", "days.\n```"),
    ],
)
def test_a_name_is_a_section_or_a_literal_text(name: str, kept: str) -> None:
    assert read_baseline(TEXT, [name]).keep == (kept,)
    assert read_baseline(TEXT, [name]).text == TEXT


def test_parts_stand_in_the_order_of_the_baseline_and_overlapping_ones_are_one() -> None:
    assert read_baseline(TEXT, ["One line.", "Intro."]).keep == ("Intro.", "One line.")
    assert read_baseline(TEXT, ["# Policies", "Tone"]).keep == (
        TEXT[TEXT.index("# Policies") : TEXT.index("\n\n# Form")],
    )
    assert read_baseline("one two three", ["one two", "two three"]).keep == ("one two three",)


def test_marks_are_taken_out_of_the_text() -> None:
    read = read_baseline("a <keep>\n b </keep>c<keep>d</keep>\n", ["c"])
    assert read.text == "a \n b cd\n"
    assert read.keep == ("b", "c", "d")


@pytest.mark.parametrize(
    ("text", "names", "fault"),
    [
        (TEXT, ["## Refund"], "'## Refund' is not in the baseline"),
        (TEXT, ["# Tone"], "'# Tone' is not in the baseline"),
        (TEXT, ["Nowhere", "## Else"], "'Nowhere' is not in the baseline; '## Else' is not"),
        ("# A\nx\n# A\ny", ["# A"], "'# A' stands in the baseline 2 times"),
        ("ab ab ab ab", ["ab"], "three or more times"),
        (TEXT, [" "], "a name is empty"),
        ("<keep>a", [], "a <keep> has no </keep>"),
        ("a</keep>", [], "a </keep> has no <keep> before it"),
        ("<keep>a<keep>b</keep>", [], "a <keep> is in another"),
        ("<keep> </keep>a", [], "nothing between a <keep> and its </keep>"),
        ("<keep>a</keep> and a", [], "'a' stands in the baseline more than once"),
    ],
)
def test_a_name_that_cannot_be_kept_is_told_in_one_sentence(
    text: str, names: list[str], fault: str
) -> None:
    with pytest.raises(SettingsError) as told:
        read_baseline(text, names)
    assert fault in str(told.value)
    assert str(told.value).startswith("keep cannot be used: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x one two", ""),
        ("one\ntwo", ""),
        ("one", "it leaves out or changes the fixed part 'two'"),
        ("one two one", "it has the fixed part 'one' 2 times"),
        ("two one", "it has the fixed part 'two' in another place among the fixed parts"),
        ("One two", "it leaves out or changes the fixed part 'one'"),
    ],
)
def test_what_is_wrong_with_a_text_is_named(text: str, fault: str) -> None:
    assert fault_of(text, ("one", "two")) == fault


def test_parts_that_share_characters_are_not_both_there() -> None:
    assert fault_of("a b c", ("a b", "b c"))
    assert not fault_of("a b b c", ("a b", "b c"))


@given(pieces=st.lists(st.text("ab#\n <>`", max_size=9), max_size=6), marked=st.booleans())
def test_a_baseline_always_holds_its_own_parts(pieces: list[str], marked: bool) -> None:
    text = "<keep>k1</keep>".join(pieces[:2]) if marked else "".join(pieces)
    names = [piece for piece in pieces if piece.strip()][:2]
    try:
        read = read_baseline(text, names)
    except SettingsError:
        return
    assert fault_of(read.text, read.keep) == ""
    assert fault_of(read.text.strip(), read.keep) == ""
    assert "<keep>" not in read.text
