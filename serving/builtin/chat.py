"""The chat format of the built-in target: a role token before each message, an end token behind.

The same format stands as a Jinja template in tokenizer_config.json, for vLLM and transformers.
"""

from collections.abc import Iterable

PAD, SYSTEM, USER, ASSISTANT, END = SPECIALS = (
    "<|pad|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)
TOKEN_BY_ROLE = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + "
    "'<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def chat_text(messages: Iterable[tuple[str, str]]) -> str:
    """Return (role, content) pairs as the text that the model reads, up to the start of its answer.

    Special tokens inside a content are split with a zero-width space: data can never end its own
    message.
    """
    parts = [
        f"{TOKEN_BY_ROLE[role]}{content.replace('<|', '<' + chr(0x200B) + '|')}{END}"
        for role, content in messages
    ]
    return "".join(parts) + ASSISTANT
