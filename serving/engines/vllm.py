"""An engine that runs a Hugging Face checkpoint with vLLM, on GPUs or with its CPU build.

At temperature 0 its answers depend on the messages and max_tokens alone, up to the rounding of the
arithmetic, which can differ with the batch where two tokens are all but equal. Above it, each
request is drawn with a random seed of its own. Knows neither Ray nor where its settings come from.
"""

import itertools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import EndpointError
from optimizer.types import Completion, Failed, Outcome, Request
from serving.concurrency.retrying import all_of
from serving.contracts.streaming import GrowingText, Piece
from serving.engines import EngineDied
from serving.engines.own_loop import OwnLoop
from serving.engines.process_guard import ProcessGuard
from serving.engines.vllm_loading import load
from serving.engines.vllm_prompts import Prompt, Prompts

SHUTDOWN_S = 3.0
"""Seconds for vLLM's processes to end by themselves; then they are killed. They have nothing to
save.
"""
# An engine's processes are marked through the environment, which all engines of a process share.
_LOADING = threading.Lock()


class VLLMEngine:
    """An engine over vLLM's AsyncLLM; the constructor blocks until the model is loaded.

    `arguments` are those of AsyncEngineArgs; `cpu_threads` is None on GPUs.

    Raises:
        SettingsError: If vLLM refuses the settings, or is not installed.
        StorageError: If there is no such model.
        EndpointError: If the model cannot be loaded for another reason.
    """

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        cpu_threads: int | None = None,
        chat_template: Path | None = None,
    ) -> None:
        self._name = name
        self._seed = int(arguments.get("seed", 0))
        self._number = itertools.count()
        self._closed = False
        self._llm: Any = None
        self._process_guard = ProcessGuard()
        self._loop = OwnLoop("vllm")
        try:
            self._prompts = self._loop.run(self._load(arguments, cpu_threads, chat_template))
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        A prompt that leaves no room for one token is Failed("refused").

        Raises:
            EngineDied: If vLLM's processes have ended, or it is closed.
        """
        self._check_open()
        return await self._loop.ask(all_of(self._answer(request) for request in requests))

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield pieces of the answer as they are written, then the outcome."""
        self._check_open()
        async for piece in self._loop.items(lambda: self._pieces(request)):
            yield piece

    @property
    def mark(self) -> str:
        """Return the mark of all processes of this engine; see process_guard.py."""
        return self._process_guard.token

    @property
    def unfinished(self) -> int:
        """Return the number of answers that are being written or wait for their turn."""
        return int(self._llm.output_processor.get_num_unfinished_requests())

    async def check_health(self) -> None:
        """Check that vLLM's processes run.

        Raises:
            EngineDied: If they have ended, or it is closed.
        """
        self._check_open()
        await self._loop.ask(self._check())

    def close(self) -> None:
        """Stop vLLM's processes, and kill those that do not end."""
        if self._closed:
            return
        self._closed = True
        if self._llm is not None:
            self._loop.run(self._shut_down())
            # collected at the interpreter's end, it would complain of what is already gone
            self._llm = None
        self._loop.close()
        self._process_guard.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineDied(f"The engine of {self._name} is closed; build a new one.")

    async def _load(
        self, arguments: Mapping[str, Any], cpu_threads: int | None, chat_template: Path | None
    ) -> Prompts:
        with _LOADING, self._process_guard.marking():
            self._llm = load(self._name, arguments, cpu_threads)
        return Prompts(
            self._name, self._llm.renderer, self._llm.model_config.max_model_len, chat_template
        )

    async def _shut_down(self) -> None:
        self._llm.shutdown(timeout=SHUTDOWN_S)

    async def _check(self) -> None:
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self._llm.check_health()
        except EngineDeadError as problem:
            raise self._died() from problem

    async def _answer(self, request: Request) -> Outcome:
        prompt = self._prompts.read(request)
        if isinstance(prompt, Failed):
            return prompt
        (output,) = [output async for output in self._outputs(request, prompt)]
        return self._outcome(output)

    async def _pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        prompt = self._prompts.read(request)
        if isinstance(prompt, Failed):
            yield prompt
            return
        text, output = GrowingText(), None
        async for output in self._outputs(request, prompt, in_pieces=True):
            if new := text.grown_to(output.outputs[0].text):
                yield new
        outcome = self._outcome(output)
        if isinstance(outcome, Completion) and (rest := text.ended_with(outcome.text)):
            yield rest
        yield outcome

    async def _outputs(
        self, request: Request, prompt: Prompt, in_pieces: bool = False
    ) -> AsyncGenerator[Any, None]:
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        sampling = self._prompts.sampling(request, prompt, self._seed, in_pieces=in_pieces)
        try:
            async for output in self._llm.generate(
                prompt.inputs, sampling, str(next(self._number))
            ):
                yield output
        except EngineDeadError as problem:
            raise self._died() from problem
        except VLLMError as problem:
            raise (
                self._died()
                if self._llm.errored
                else EndpointError(f"{self._name} failed: {problem}.")
            ) from problem

    def _outcome(self, output: Any) -> Outcome:
        answer = output.outputs[0]
        # Cut off by a shutdown, or by an error: half an answer is none.
        if answer.finish_reason not in ("stop", "length"):
            if answer.finish_reason == "abort":
                raise self._died()
            return Failed(
                "infrastructure", f"{self._name} broke an answer off ({answer.finish_reason})."
            )
        return Completion(
            answer.text.strip(),
            answer.finish_reason == "length",
            len(output.prompt_token_ids),
            len(answer.token_ids),
            cached_tokens=output.num_cached_tokens,
        )

    def _died(self) -> EngineDied:
        return EngineDied(f"The engine of {self._name} has died; its log says why.")
