"""The word diff loses nothing, and reads well."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.report.diff import Piece, word_diff

WORDS = st.lists(st.sampled_from(["step", "write", "the", " ", "  ", "\n", "x,", "\t", "é"]), max_size=30).map("".join)


def joined(pieces: tuple[Piece, ...], without: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != without)


@given(WORDS | st.text(), WORDS | st.text())
def test_both_texts_can_be_read_back(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert joined(pieces, without="added") == old
    assert joined(pieces, without="removed") == new
    assert all(piece.text for piece in pieces)


def test_only_the_changed_words_are_marked() -> None:
    old, new = "Write the position after each and every move.", "Write the exact position after each and every move."
    assert [piece for piece in word_diff(old, new) if piece.kind != "same"] == [Piece("added", " exact")]


def test_texts_with_little_in_common_stand_one_after_the_other() -> None:
    old, new = "Be very careful.", "List all of the moves."
    assert word_diff(old, new) == (Piece("removed", old), Piece("added", new))


def test_a_chance_word_between_two_changes_is_not_kept_apart() -> None:
    old, new = "1. List the moves.\n2. Keep track of where you are.", "1. List the moves.\n2. Write each one of these down."
    assert [piece.kind for piece in word_diff(old, new)] == ["same", "removed", "added"]


def test_equal_texts_have_no_changes() -> None:
    assert word_diff("a b", "a b") == (Piece("same", "a b"),)
    assert word_diff("", "") == ()
