"""Chats as OpenAI's files have them: a list of messages with roles, in one column of a row.

The last user turn is the input, and the turns before it the history. Of a fine-tuning file the last
assistant turn is the target. A chat's own system message is no part of either: the prompt that is
optimized stands in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.types import Message

_SYSTEM = ("system", "developer")


class OddChat(ValueError):
    """A chat cannot be read; the message continues "has examples with a chat ..."."""


@dataclass(frozen=True)
class Chat:
    """One chat, divided."""

    input: str
    history: tuple[Message, ...]
    answer: str | None
    """The last assistant turn, where the chat ends with one."""
    system: str


def is_chat(value: Any) -> bool:
    """Return whether a cell holds messages."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(one, Mapping) and "role" in one for one in value)
    )


def read_chat(messages: Sequence[Mapping[str, Any]]) -> Chat:
    """Divide a chat.

    Raises:
        OddChat: It has a turn that is no text or of another role, or no user turn where one must
            be.
    """
    system: list[str] = []
    turns: list[Message] = []
    for message in messages:
        role = message.get("role")
        text = _content(message.get("content"))
        if role in _SYSTEM:
            system.append(text)
        elif role == "user" or role == "assistant":
            turns.append(Message(role, text))
        else:
            raise OddChat(
                f"that has a turn of role {str(role)[:40]!r}; there may be system, user and "
                "assistant turns"
            )
    answer = turns.pop().content if turns and turns[-1].role == "assistant" else None
    if not turns or turns[-1].role != "user":
        raise OddChat("that has no user turn at its end, or before its last assistant turn")
    return Chat(turns[-1].content, tuple(turns[:-1]), answer, "\n\n".join(system))


def _content(content: Any) -> str:
    """Return the text of a message: a text, or a list of parts that are texts.

    Raises:
        OddChat: It has none, as a call of a tool or a picture.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        texts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(str(text) for text in texts)
    raise OddChat("that has a turn without text, such as a call of a tool or a picture")
