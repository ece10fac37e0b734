"""A text that grows from its beginning, byte by byte as models write, is cut into pieces of which
none is taken back.
"""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed
from serving.contracts.streaming import GrowingText, Streams, pieces
from tests.contracts.client_contract import ask


@given(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.integers(0, 60)))
def test_the_pieces_are_the_whole(text: str, cuts: list[int]) -> None:
    written, whole, growing = text.encode(), text.strip(), GrowingText()
    given = [growing.grown_to(written[:cut].decode(errors="replace")) for cut in sorted(cuts)]
    assert whole.startswith("".join(given))
    assert "".join([*given, growing.ended_with(whole)]) == whole


def test_half_a_letter_and_white_space_at_the_end_are_held_back() -> None:
    growing = GrowingText()
    seen = [
        growing.grown_to(text)
        for text in (" ", " a", " a \N{REPLACEMENT CHARACTER}", " a é", " a é ", " a é  b")
    ]
    assert seen == ["", "a", "", " é", "", "  b"]


async def test_a_model_without_a_stream_answers_in_one_piece() -> None:
    model = ScriptedModel(
        lambda request: {"fail": Failed("refused", "No."), "": ""}.get(
            request.messages[0].content, "yes"
        )
    )
    assert not isinstance(model, Streams)
    assert [piece async for piece in pieces(model, ask("a"))] == ["yes", Completion("yes")]
    assert [piece async for piece in pieces(model, ask(""))] == [Completion("")]
    assert [piece async for piece in pieces(model, ask("fail"))] == [Failed("refused", "No.")]
