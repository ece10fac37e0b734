"""Cache-affine against balanced routing, on two vLLM replicas on this machine: how much of the
prompts came from the prefix caches, and how long it took.

    python -m tests.benchmarks.routing            in an environment with vLLM; the built-in target,
                                                  on CPUs

Many prompts at once are a round's candidates; one prompt alone is the last evaluation of the best
one; in steps of 8 items a race measures its candidates."""

import asyncio
import time
from collections.abc import Sequence
from random import Random

import ray
from ray import serve

from optimizer.types import Completion, Message, Outcome, Request, Sampling
from serving.hosting.deployment import host
from serving.models import connect, load_engine
from serving.settings import Routing, VLLMSettings

ITEMS = 64
CASES = ((1, ITEMS), (8, ITEMS), (24, ITEMS), (24, 8))
"""Prompts, and the items of each that are asked in one step."""
WORDS = "turn left right around forward back step count apple pear box coin heads tails true false say lies truth answer".split()


def requests(prompts: int, seed: int) -> list[Request]:
    """Prompts of about 300 tokens that share nothing, each with short items."""
    rng = Random(seed)
    systems = [Message("system", " ".join(rng.choices(WORDS, k=240))) for _ in range(prompts)]
    items = [Message("user", " ".join(rng.choices(WORDS, k=12))) for _ in range(ITEMS)]
    return [
        Request((system, item), Sampling(max_tokens=16)) for system in systems for item in items
    ]


def cached_share(outcomes: Sequence[Outcome]) -> float:
    answers = [outcome for outcome in outcomes if isinstance(outcome, Completion)]
    assert len(answers) == len(outcomes)
    return sum(answer.cached_tokens or 0 for answer in answers) / sum(
        answer.prompt_tokens for answer in answers
    )


async def measure(model: VLLMSettings) -> None:
    client = connect(model)
    await client.complete(requests(4, seed=0))  # both replicas are warm
    for prompts, step in CASES:
        asked = requests(prompts, seed=prompts + step)
        started, outcomes = time.perf_counter(), list[Outcome]()
        for first in range(0, ITEMS, step):
            outcomes += await client.complete(
                [one for at, one in enumerate(asked) if first <= at % ITEMS < first + step]
            )
        took_s = time.perf_counter() - started
        print(
            f"{model.routing:>8}  {prompts:2} prompts x {ITEMS} items in steps of {step:2}: "
            f"{took_s:6.1f} s,"
            f" {len(asked) / took_s:6.1f} answers/s, {cached_share(outcomes):.3f} of the prompt "
            "tokens from the caches",
            flush=True,
        )


def main() -> None:
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    routings: tuple[Routing, ...] = ("balanced", "affine")
    for routing in routings:
        model = VLLMSettings(
            model="builtin:target",
            gpus=0,
            cpus=0,
            dtype="float32",
            enforce_eager=True,
            cpu_kv_cache_gib=0.5,
            replicas=2,
            routing=routing,
            chunks_in_flight=16,
        )
        (deployment,) = host([model], load_engine)
        asyncio.run(measure(model))
        serve.delete(deployment)
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


if __name__ == "__main__":
    main()
