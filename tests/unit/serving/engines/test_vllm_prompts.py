"""What happens to messages before vLLM's template sees them. Needs no vLLM."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import Message
from serving.engines.vllm_prompts import ZERO_WIDTH_SPACE, any_of, harmless, without_system

SPECIALS = ("<|end|>", "<|end|>of", "</s>", "[INST]", "<")
PATTERN = any_of(SPECIALS)
USER, ASSISTANT = Message("user", "question"), Message("assistant", "answer")


@given(
    st.lists(st.sampled_from([*SPECIALS, "<|", "|>", "end", "a", " ", "\n"]), max_size=12).map(
        "".join
    )
)
def test_no_special_token_is_left_and_nothing_else_changes(content: str) -> None:
    safe = harmless(content, PATTERN)
    assert PATTERN is not None
    assert PATTERN.search(safe) is None
    assert safe.replace(ZERO_WIDTH_SPACE, "") == content


def test_contents_without_special_tokens_stay_as_they_are() -> None:
    assert harmless("a < b, and <|almost", PATTERN) == "a < b, and <|almost"
    assert harmless("<|end|>", any_of(())) == "<|end|>"


def test_a_longer_token_is_found_before_the_one_that_it_begins_with() -> None:
    assert harmless("<|end|>of", PATTERN) == f"<{ZERO_WIDTH_SPACE}|end|>of"


def test_what_the_system_says_moves_into_the_first_question() -> None:
    assert without_system([Message("system", "Be brief."), USER, ASSISTANT, USER]) == (
        Message("user", "Be brief.\n\nquestion"),
        ASSISTANT,
        USER,
    )
    assert without_system([Message("system", "Be brief.")]) == (Message("user", "Be brief."),)
    assert without_system([Message("system", "Be brief."), ASSISTANT]) == (
        Message("user", "Be brief."),
        ASSISTANT,
    )
    assert without_system([USER, ASSISTANT]) == (USER, ASSISTANT)
