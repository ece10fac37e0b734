"""Requests in the form that vLLM reads: the model's chat template, tokens, sampling parameters.

Waits for nothing.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optimizer.errors import SettingsError
from optimizer.types import Failed, Message, Request

ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
_PROBE = "promptray0probe"


class Prompt(NamedTuple):
    """A rendered prompt and its number of tokens.

    `inputs` is a rendered input of vLLM: tokens, and for some models more.
    """

    inputs: Any
    tokens: int


class Prompts:
    """Renders requests for one model.

    `renderer` is the engine's; `template` replaces the model's own. A model that accepts no system
    message gets it at the beginning of the first user message.
    """

    def __init__(
        self, name: str, renderer: Any, max_model_len: int, template: Path | None = None
    ) -> None:
        from vllm.renderers.params import ChatParams, TokenizeParams

        self._name = name
        self._renderer = renderer
        self._max_model_len = max_model_len
        self._chat = ChatParams(
            chat_template=template and template.read_text(encoding="utf-8"),
            chat_template_kwargs={"add_generation_prompt": True},
        )
        self._chat_tokens = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        self._raw_tokens = TokenizeParams(max_total_tokens=None, add_special_tokens=True)
        self._specials = _special_tokens(renderer.get_tokenizer())
        self._no_template = self._why_no_chat()
        # Probed, not declared: some templates drop the system message silently.
        self._takes_system = self._no_template is None and self._reads(
            [Message("system", _PROBE), Message("user", "a")]
        )

    def read(self, request: Request) -> Prompt | Failed:
        """Return the rendered prompt.

        It is Failed("refused") for a prompt that leaves no room for one token, or that the template
        does not accept.

        Raises:
            SettingsError: If the model has no chat template and the request needs one.
        """
        from vllm.exceptions import VLLMValidationError

        if not request.raw and self._no_template is not None:
            raise SettingsError(self._no_template)
        try:
            inputs = self._raw(request) if request.raw else self._rendered(request.messages)
        except VLLMValidationError as problem:
            return Failed(
                "refused",
                f"The chat template of {self._name} does not take this prompt: {problem}.",
            )
        tokens = len(inputs["prompt_token_ids"])
        if not 0 < tokens < self._max_model_len:
            return Failed(
                "refused",
                f"The prompt has {tokens} tokens, and {self._name} reads 1 to "
                f"{self._max_model_len - 1}.",
            )
        return Prompt(inputs, tokens)

    def sampling(
        self, request: Request, prompt: Prompt, seed: int, *, in_pieces: bool = False
    ) -> Any:
        """Return the sampling parameters: greedy at temperature 0.

        Above it the random seed is made from the request, so that it always gets one answer.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        wanted = request.sampling
        return SamplingParams(
            temperature=max(0.0, wanted.temperature),
            max_tokens=min(wanted.max_tokens, self._max_model_len - prompt.tokens),
            seed=_seed(request, seed) if wanted.temperature > 0 else None,
            output_kind=RequestOutputKind.CUMULATIVE if in_pieces else RequestOutputKind.FINAL_ONLY,
        )

    def _raw(self, request: Request) -> Any:
        text = "".join(_readable(message.content) for message in request.messages)
        return self._renderer.render_cmpl([{"prompt": text}], self._raw_tokens)[0]

    def _rendered(self, messages: Sequence[Message]) -> Any:
        turns = messages if self._takes_system else without_system(messages)
        conversation = [
            {"role": turn.role, "content": harmless(_readable(turn.content), self._specials)}
            for turn in turns
        ]
        _, inputs = self._renderer.render_chat([conversation], self._chat, self._chat_tokens)
        return inputs[0]

    def _why_no_chat(self) -> str | None:
        self._takes_system = True
        try:
            self._rendered([Message("user", _PROBE)])
        except Exception as problem:  # noqa: BLE001
            # A template is a program: it may raise anything.
            return (
                f"{self._name} has no chat template that works ({problem}): name a file with "
                "chat_template."
            )
        return None

    def _reads(self, messages: Sequence[Message]) -> bool:
        """Return whether the first message's content reaches the model.

        Some templates refuse a role, some leave it out.
        """
        self._takes_system = True
        try:
            tokens = self._rendered(messages)["prompt_token_ids"]
        except Exception:  # noqa: BLE001 - as above
            return False
        return _PROBE in self._renderer.get_tokenizer().decode(tokens)


def without_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages with the system text put before the first user message."""
    texts = [message.content for message in messages if message.role == "system"]
    turns = [message for message in messages if message.role != "system"]
    if not texts:
        return tuple(turns)
    if not turns or turns[0].role != "user":
        return (Message("user", "\n\n".join(texts)), *turns)
    return (Message("user", "\n\n".join([*texts, turns[0].content])), *turns[1:])


def harmless(content: str, specials: "re.Pattern[str] | None") -> str:
    """Return the content with its special tokens split by a zero-width space.

    So data can never end its own message.
    """
    # Repeated, since splitting one token may leave another that it overlapped.
    while specials and specials.search(content):
        content = specials.sub(lambda token: token[0][0] + ZERO_WIDTH_SPACE + token[0][1:], content)
    return content


def any_of(tokens: Sequence[str]) -> "re.Pattern[str] | None":
    """Return a pattern of any of these tokens.

    Longest first, so that of two tokens that begin alike the whole one is found. A single character
    cannot be split.
    """
    words = sorted((token for token in set(tokens) if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def _special_tokens(tokenizer: Any) -> "re.Pattern[str] | None":
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    return any_of(
        [*tokenizer.all_special_tokens, *(token.content for token in added if token.special)]
    )


def _readable(text: str) -> str:
    """Return the text without unpaired surrogates, which cannot be tokenised."""
    return text.encode("utf-8", "replace").decode()


def _seed(request: Request, seed: int) -> int:
    parts = [
        str(seed),
        str(request.sample),
        str(request.sampling.temperature),
        *(part for message in request.messages for part in (message.role, message.content)),
    ]
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big")
