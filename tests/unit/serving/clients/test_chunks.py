"""Which requests go to a replica together."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import Message, Request
from serving.clients.serve_model import chunks_of


def asked(prompts: str) -> list[Request]:
    """Return a question under each of some one-letter prompts; "" has none."""
    return [
        Request((Message("system", prompt), Message("user", str(at))))
        for at, prompt in enumerate(prompts)
    ]


@given(st.text("abcde", max_size=80), st.integers(1, 9), st.booleans())
def test_every_request_is_in_one_chunk_of_the_right_size(
    prompts: str, size: int, mixed: bool
) -> None:
    chunks = chunks_of(asked(prompts), size, mixed=mixed)
    assert sorted(at for chunk in chunks for at in chunk) == list(range(len(prompts)))
    assert all(0 < len(chunk) <= size for chunk in chunks)
    for prompt in set(prompts):  # no prompt is cut more often than its length asks for
        assert sum(any(prompts[at] == prompt for at in chunk) for chunk in chunks) == -(
            -prompts.count(prompt) // size
        )


@given(st.text("abcde", max_size=80), st.integers(1, 9))
def test_unmixed_chunks_have_one_prompt(prompts: str, size: int) -> None:
    assert all(
        len({prompts[at] for at in chunk}) == 1
        for chunk in chunks_of(asked(prompts), size, mixed=False)
    )


def test_interleaved_prompts_are_put_together() -> None:
    assert chunks_of(asked("abababab"), 4, mixed=True) == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_what_is_left_of_prompts_shares_a_chunk() -> None:
    assert chunks_of(asked("aaaaabbc"), 4, mixed=True) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert chunks_of(asked("aaabbb"), 4, mixed=True) == [[0, 1, 2], [3, 4, 5]]
    assert chunks_of(asked("abc"), 4, mixed=False) == [[0], [1], [2]]


def test_requests_of_one_message_are_alike() -> None:
    assert chunks_of([Request((Message("user", text),)) for text in "abcde"], 4, mixed=False) == [
        [0, 1, 2, 3],
        [4],
    ]
