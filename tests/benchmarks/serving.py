"""What the path to a hosted model costs: a trial's budget -> ledger -> client -> handle -> replica
-> engine, against the engine's own batch call.

    python -m tests.benchmarks.serving --engine vllm --gpus 0
    python -m tests.benchmarks.serving --engine ctranslate2
    python -m tests.benchmarks.serving --engine vllm --gpus 1 --model FOLDER \\
        --engine-args '{"load_format": "dummy"}'

Both sides get the same prompts and settings in one run, on one machine, by turns, each after an
equal warm-up. Every repetition has items of its own under one prompt, so both find the prompt's
beginning in their cache, and none of the items. No item comes twice, so the ledger answers none. It
is a trial's ledger: an actor, and a folder that it writes to. A script, no test. """

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import ray
from rich.console import Console
from rich.table import Table

from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.protocols import LanguageModel
from optimizer.tasks.generated import GENERATED
from optimizer.types import Completion, Outcome, Request, Sampling
from serving.builtin import TARGET_FOLDER
from serving.builtin.chat import END, chat_text
from serving.hosting.deployment import host
from serving.ledger.actor import open_ledger
from serving.ledger.cached_model import CachedModel
from serving.models import connect, load_engine
from serving.settings import Served, TargetSettings
from serving.settings.vllm import VLLMSettings
from serving.training.evaluate import conditions

TASK = "navigate"
PROMPT = "+ 2 demonstrations"


@dataclass(frozen=True)
class Figures:
    """Of all repetitions but the warm-up; times are medians."""

    engine: str
    items: int
    repetitions: int
    prompt_tokens: int
    completion_tokens: int
    path_s: float
    direct_s: float
    ratio: float
    """Throughput of the whole path divided by the direct one's: the median of the repetitions' own
    ratios.
    """
    lowest_ratio: float
    highest_ratio: float
    prefix_hit_rate: float | None


def repetitions(items: int, max_tokens: int) -> Iterator[list[Request]]:
    """Always other items."""
    task, rng = GENERATED[TASK], Random("benchmark")
    prompt = conditions(task, Random(TASK))[PROMPT]
    seen = set[Request]()
    while True:
        asked = dict[Request, None]()
        while len(asked) < items:
            request = Request(
                prompt.render(task.generate(rng).question()), Sampling(max_tokens=max_tokens)
            )
            if request not in seen:
                asked[request] = None
        seen.update(asked)
        yield list(asked)


class DirectVLLM:
    """LLM.generate on texts, all in one call whatever the path's `chunk`, in an actor with what a
    replica holds.
    """

    def __init__(self, settings: VLLMSettings, chunk: int) -> None:
        from serving.engines.vllm_loading import set_environment

        set_environment(max(1, int(settings.cpus)) if settings.gpus == 0 else None)
        from vllm import LLM

        self._llm = LLM(**settings.arguments)
        self._tokenizer = self._llm.get_tokenizer()

    def timed(self, requests: Sequence[Request]) -> tuple[float, int]:
        """Seconds, and tokens written. The chat template is applied before the clock starts."""
        from vllm import SamplingParams

        conversations = [[asdict(message) for message in request.messages] for request in requests]
        texts = self._tokenizer.apply_chat_template(
            conversations, tokenize=False, add_generation_prompt=True
        )
        sampling = SamplingParams(temperature=0, max_tokens=requests[0].sampling.max_tokens)
        began = time.perf_counter()
        outputs = self._llm.generate(texts, sampling, use_tqdm=False)
        return time.perf_counter() - began, sum(
            len(output.outputs[0].token_ids) for output in outputs
        )


class DirectCTranslate2:
    """Generator.generate_batch on all prompts in one call, which cuts them into batches of `chunk`,
    as large as those of the path;
    their common beginning is read once a batch on both sides."""

    def __init__(self, settings: TargetSettings, chunk: int) -> None:
        self._chunk = chunk
        from ctranslate2 import Generator
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(TARGET_FOLDER / "tokenizer.json"))
        weights = str(TARGET_FOLDER / "ctranslate2")
        self._generator = Generator(
            weights,
            device="cpu",
            compute_type="float32",
            inter_threads=settings.threads,
            intra_threads=1,
        )

    def timed(self, requests: Sequence[Request]) -> tuple[float, int]:
        """Seconds, and tokens written. The chat template is applied before the clock starts."""
        texts = [
            chat_text((message.role, message.content) for message in request.messages)
            for request in requests
        ]
        began = time.perf_counter()
        prompts = [self._tokenizer.encode(text, add_special_tokens=False).tokens for text in texts]
        first, last = min(prompts), max(prompts)
        shared = next(
            at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other
        )
        results = self._generator.generate_batch(
            [prompt[shared:] for prompt in prompts],
            static_prompt=first[:shared],
            cache_static_prompt=False,
            max_length=requests[0].sampling.max_tokens,
            max_batch_size=self._chunk,
            batch_type="examples",
            sampling_topk=1,
            end_token=END,
            return_end_token=True,
            include_prompt_in_result=False,
        )
        written = [result.sequences_ids[0] for result in results]
        self._tokenizer.decode_batch(written, skip_special_tokens=True)
        return time.perf_counter() - began, sum(map(len, written))


DIRECT: dict[str, type[DirectVLLM] | type[DirectCTranslate2]] = {
    "vllm": DirectVLLM,
    "ctranslate2": DirectCTranslate2,
}


def as_in_a_trial(settings: Served, folder: str, budget: Budget) -> LanguageModel:
    """The model as a trial has it; see cluster/experiment/trainable.py and cluster/trial/trial.py."""
    return Budgeted(CachedModel(connect(settings), open_ledger(folder), settings.chunk), budget)


async def path_timed(
    model: LanguageModel, requests: Sequence[Request]
) -> tuple[float, list[Outcome]]:
    began = time.perf_counter()
    outcomes = await model.complete(requests)
    return time.perf_counter() - began, outcomes


async def measure(
    options: argparse.Namespace, settings: Served, folder: str, direct: Any
) -> Figures:
    budget = Budget((options.repetitions + 1) * options.items)
    model = as_in_a_trial(settings, folder, budget)
    pairs, answers = list[tuple[float, float]](), list[Completion]()
    for repetition, asked in zip(
        range(options.repetitions + 1), repetitions(options.items, options.max_tokens), strict=False
    ):
        direct_first = repetition % 2 == 0
        if direct_first:
            direct_s, written = await direct.timed.remote(asked)
        path_s, outcomes = await path_timed(model, asked)
        if not direct_first:
            direct_s, written = await direct.timed.remote(asked)
        done = [outcome for outcome in outcomes if isinstance(outcome, Completion)]
        assert len(done) == len(asked), f"{len(asked) - len(done)} calls failed"
        print(
            f"{'warm-up' if repetition == 0 else f'repetition {repetition}'}: path {path_s:.2f} s, "
            f"direct {direct_s:.2f} s, "
            f"tokens {sum(answer.completion_tokens for answer in done)} and {written}",
            flush=True,
        )
        if repetition:
            pairs.append((path_s, direct_s))
            answers.extend(done)
    assert not budget.usage.ledger_hits, f"the ledger answered {budget.usage.ledger_hits} calls"
    return figures_of(options, settings, pairs, answers)


def figures_of(
    options: argparse.Namespace,
    settings: Served,
    pairs: Sequence[tuple[float, float]],
    answers: Sequence[Completion],
) -> Figures:
    """`pairs`: seconds of the path and of the direct side, one pair a repetition."""
    cached = [answer.cached_tokens for answer in answers if answer.cached_tokens is not None]
    prompt_tokens = sum(answer.prompt_tokens for answer in answers)
    ratios = [direct_s / path_s for path_s, direct_s in pairs]
    return Figures(
        settings.identity,
        options.items,
        options.repetitions,
        prompt_tokens,
        sum(answer.completion_tokens for answer in answers),
        statistics.median(path_s for path_s, _ in pairs),
        statistics.median(direct_s for _, direct_s in pairs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        sum(cached) / prompt_tokens if cached else None,
    )


def settings_of(options: argparse.Namespace) -> Served:
    asked = {"chunk": options.chunk, "chunks_in_flight": options.in_flight}
    given = {name: value for name, value in asked.items() if value is not None}
    if options.engine == "ctranslate2":
        return TargetSettings(**given)
    return VLLMSettings(
        **given,
        model=options.model,
        gpus=options.gpus,
        dtype=options.dtype,
        enforce_eager=options.gpus == 0,
        max_num_seqs=256,
        engine_args={"max_num_batched_tokens": 4096} | json.loads(options.engine_args),
    )


def show(figures: Figures) -> None:
    table = Table("figure", "value", title=figures.engine)
    for name, value in asdict(figures).items():
        if name != "engine" and value is not None:
            table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    table.add_row("path: prompts/s", f"{figures.items / figures.path_s:.1f}")
    table.add_row("direct: prompts/s", f"{figures.items / figures.direct_s:.1f}")
    Console().print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=sorted(DIRECT), default="vllm")
    parser.add_argument(
        "--model", default="builtin:target", help="for vllm: a folder or a name on the follower"
    )
    parser.add_argument(
        "--gpus",
        type=float,
        default=0.0,
        help="GPUs a replica; the direct side takes as many again",
    )
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--engine-args",
        default="{}",
        metavar="JSON",
        help="anything else of vLLM's AsyncEngineArgs",
    )
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--chunk", type=int, help="prompts a handle call; the engine's default if not given"
    )
    parser.add_argument("--in-flight", type=int, help="handle calls at once; likewise")
    parser.add_argument(
        "--json", action="store_true", help="print the figures as JSON instead of a table"
    )
    return parser.parse_args()


def main() -> None:
    options = arguments()
    settings = settings_of(options)
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2 * options.gpus or None,
        include_dashboard=False,
        log_to_driver=False,
    )
    try:
        host([settings], load_engine)
        direct: Any = (
            ray.remote(DIRECT[options.engine])
            .options(**settings.actor_options)
            .remote(settings, settings.chunk)
        )
        with tempfile.TemporaryDirectory() as folder:
            figures = asyncio.run(measure(options, settings, folder, direct))
    finally:
        ray.shutdown()
    if options.json:
        print(json.dumps(asdict(figures), indent=1))
    else:
        show(figures)


if __name__ == "__main__":
    main()
