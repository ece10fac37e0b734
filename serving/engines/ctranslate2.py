"""An engine for folders like serving/builtin/target, with CTranslate2 on the CPU.

It is fast to start, small, and needs no framework. At temperature 0 its answers depend on the
messages and max_tokens alone (up to the rounding of float32, which can differ with the batch where
two tokens are all but equal). Above it, the random seed is made from the messages and the sample
index, and each such request is decoded alone by a new generator (about 30 ms for the built-in
model): it always gets one answer.
"""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
from tokenizers import Tokenizer

from optimizer.errors import StorageError
from optimizer.types import Completion, Failed, Outcome, Request
from serving.builtin.chat import END, chat_text
from serving.contracts.streaming import GrowingText, Piece
from serving.engines import EngineDied

MAX_CONTEXT = 2048
"""Positions of the built-in target model, prompt and answer together."""
BATCH_TOKENS = 8192
"""Prompt tokens that are decoded together [ours, for two cores]; the engine sorts a batch by
length and splits it by this.
"""
WORTH_SHARING = 32
"""Minimum number of tokens at the beginning of a batch that are read once for all; measured a
fifth less work with 126 of 158 shared.
"""
Hear = Callable[[Any], bool]
"""A callback that CTranslate2 calls with each step of a generation; True stops it."""
# CTranslate2's random seed belongs to the whole process.
_SEEDING = threading.Lock()


class CTranslate2Engine:
    """An engine that decodes `threads` batches side by side, one core each.

    For a network this small that beats sharing one among cores.

    Raises:
        StorageError: If the folder does not hold a model.
    """

    def __init__(
        self, name: str, folder: Path, threads: int = 2, max_context: int = MAX_CONTEXT
    ) -> None:
        self._name = name
        self._weights = str(folder / "ctranslate2")
        self._threads = threads
        self._max_context = max_context
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._generator = self._load(threads)
        except Exception as problem:
            # The tokenizers package raises nothing narrower.
            raise StorageError(
                f"There is no CTranslate2 model in {folder} ({problem})."
            ) from problem
        self._closed = False

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        A prompt that leaves no room for one token is Failed("refused").

        Raises:
            EngineDied: If it is closed.
        """
        await self.check_health()
        return await asyncio.to_thread(self._complete, list(requests))

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer token by token, and its outcome.

        When the caller leaves, the generation stops at its next token.
        """
        await self.check_health()
        loop, text, tokens = asyncio.get_running_loop(), GrowingText(), list[int]()
        heard: asyncio.Queue[int | None] = asyncio.Queue()
        left = threading.Event()

        def hear(step: Any) -> bool:
            loop.call_soon_threadsafe(heard.put_nowait, step.token_id)
            return left.is_set()

        work = asyncio.ensure_future(asyncio.to_thread(self._complete, [request], hear))
        work.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (token := await heard.get()) is not None:
                tokens.append(token)
                if piece := text.grown_to(self._tokenizer.decode(tokens, skip_special_tokens=True)):
                    yield piece
        finally:
            left.set()
        (outcome,) = await work
        if isinstance(outcome, Completion) and (rest := text.ended_with(outcome.text)):
            yield rest
        yield outcome

    async def check_health(self) -> None:
        """Check that it is not closed."""
        if self._closed:
            raise EngineDied(f"The engine of {self._name} is closed; build a new one.")

    def close(self) -> None:
        """Unload the model."""
        if not self._closed:
            self._closed = True
            self._generator.unload_model()

    def _load(self, threads: int) -> Any:
        return ctranslate2.Generator(
            self._weights,
            device="cpu",
            compute_type="float32",
            inter_threads=threads,
            intra_threads=1,
        )

    def _complete(self, requests: list[Request], hear: Hear | None = None) -> list[Outcome]:
        prompts = [self._tokens(request) for request in requests]
        # Every prompt counts as refused until it is answered: those that fit are, below.
        reads = f"{self._name} reads 1 to {self._max_context - 1}"
        outcomes: list[Outcome] = [
            Failed("refused", f"The prompt has {len(prompt)} tokens, and {reads}.")
            for prompt in prompts
        ]
        fitting = [at for at, prompt in enumerate(prompts) if 0 < len(prompt) < self._max_context]
        for at in fitting:
            if requests[at].sampling.temperature > 0:
                outcomes[at] = self._sample(requests[at], prompts[at], hear)
        greedy = [at for at in fitting if requests[at].sampling.temperature <= 0]
        for at, outcome in zip(
            greedy, self._decode([(requests[at], prompts[at]) for at in greedy], hear), strict=True
        ):
            outcomes[at] = outcome
        return outcomes

    def _tokens(self, request: Request) -> list[str]:
        chat = ((message.role, message.content) for message in request.messages)
        text = request.messages[-1].content if request.raw else chat_text(chat)
        # Lone surrogates cannot be tokenised; a replacement character can.
        tokens: list[str] = self._tokenizer.encode(
            text.encode("utf-8", "replace").decode(), add_special_tokens=False
        ).tokens
        return tokens

    def _decode(self, work: list[tuple[Request, list[str]]], hear: Hear | None) -> list[Outcome]:
        """Decode greedily.

        Requests that differ only in their last message are decoded together: their common beginning
        is read once.
        """
        outcomes: dict[int, Outcome] = {}
        group_by_likeness: dict[tuple[object, ...], list[int]] = {}
        for at, (request, prompt) in enumerate(work):
            # In one batch with a prompt of one token, CTranslate2 4.8 repeats the other prompts in
            # their results.
            group_by_likeness.setdefault(
                (self._room(request, prompt), len(prompt) > 1, *request.messages[:-1]), []
            ).append(at)
        for (room, *_), group in group_by_likeness.items():
            prompts = [work[at][1] for at in group]
            shared = _shared_beginning(prompts)
            results = self._generator.generate_batch(
                [prompt[len(shared) :] for prompt in prompts],
                static_prompt=shared or None,
                cache_static_prompt=False,
                max_length=room,
                max_batch_size=BATCH_TOKENS,
                batch_type="tokens",
                sampling_topk=1,
                end_token=END,
                return_end_token=True,
                include_prompt_in_result=False,
                callback=hear,
            )
            outcomes |= {
                at: self._completion(work[at][1], result)
                for at, result in zip(group, results, strict=True)
            }
        return [outcomes[at] for at in range(len(work))]

    def _sample(self, request: Request, prompt: list[str], hear: Hear | None) -> Outcome:
        digest = hashlib.sha256(
            "\x00".join([str(request.sample), str(request.sampling.temperature), *prompt]).encode()
        ).digest()
        with _SEEDING:
            # A generator's threads take the seed at their first random number: hence a new
            # generator, and the lock till its end.
            ctranslate2.set_random_seed(int.from_bytes(digest[:4], "big"))
            result = self._load(1).generate_batch(
                [prompt],
                max_length=self._room(request, prompt),
                sampling_topk=0,
                end_token=END,
                return_end_token=True,
                sampling_temperature=request.sampling.temperature,
                include_prompt_in_result=False,
                callback=hear,
            )[0]
        return self._completion(prompt, result)

    def _room(self, request: Request, prompt: list[str]) -> int:
        return max(1, min(request.sampling.max_tokens, self._max_context - len(prompt)))

    def _completion(self, prompt: list[str], result: Any) -> Completion:
        tokens: list[int] = result.sequences_ids[0]
        ended = bool(tokens) and result.sequences[0][-1] == END
        text = self._tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        return Completion(text.strip(), not ended, len(prompt), len(tokens))


def _shared_beginning(prompts: list[list[str]]) -> list[str]:
    """Return the tokens that all of several prompts begin with, but for the last two of each.

    There are none where sharing is not worth it.
    """
    # What the first and last in order share, all between them share.
    first, last = min(prompts), max(prompts)
    unlike = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    shared = first[: min(next(unlike, len(first)), max(0, min(map(len, prompts)) - 2))]
    return shared if len(prompts) > 1 and len(shared) >= WORTH_SHARING else []
