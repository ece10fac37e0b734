"""What the ledger costs: durable appends, the time that they add to a call, and the speed of a
replay.

    python -m tests.benchmarks.ledger [--calls 10000] [--in-flight 64] [--repetitions 5]

All through Cached model over LedgerCoordinator in one process, as in a trial but without Ray. The
model behind answers at once or, for the overhead, after `--model-ms`; calls go out one request
each, so that every call is a claim, an answer and a durable record of its own, and only what is in
flight at the same time shares a write. Requests are as long as a prompt with steps and
demonstrations. Goals [ours]: a replay of 20,000 answers/s, and less than 1 ms a call for a durable
append at 64 in flight. A script, no test.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random

from rich.console import Console
from rich.table import Table

from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Message, Outcome, Request
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator

WORDS = (
    "step",
    "write",
    "position",
    "after",
    "each",
    "move",
    "return",
    "left",
    "right",
    "the",
    "answer",
    "is",
    "not",
    "so",
)


class Instant:
    """Answers everything, after `wait_s` where that is not 0."""

    name = "benchmark:instant@1"

    def __init__(self, wait_s: float = 0.0) -> None:
        self._wait_s = wait_s

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        await asyncio.sleep(self._wait_s)
        return [
            Completion(f"Answer: {request.messages[0].content[-200:]}", False, 400, 60)
            for request in requests
        ]


def requests(number: int, seed: int) -> list[Request]:
    """A prompt of about 1,500 characters, and an item of about 200 that is always another."""
    rng = Random(seed)
    prompt = " ".join(rng.choices(WORDS, k=280))
    return [
        Request((Message("user", f"{prompt}\n{' '.join(rng.choices(WORDS, k=36))} {at}"),))
        for at in range(number)
    ]


async def timed(model: LanguageModel, asked: Sequence[Request], in_flight: int) -> float:
    """Seconds for all, one request a call, so many calls at once."""
    waiting: Iterator[Request] = iter(asked)

    async def caller() -> None:
        for request in waiting:
            await model.complete([request])

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return time.perf_counter() - began


async def appending(options: argparse.Namespace, seed: int, wait_s: float) -> tuple[float, float]:
    """Seconds of a run of new calls without a ledger, and with one."""
    asked, model = requests(options.calls, seed), Instant(wait_s)
    without_s = await timed(model, asked, options.in_flight)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, Ledger(folder) as ledger:
        with_s = await timed(
            CachedModel(model, LedgerCoordinator(ledger)), asked, options.in_flight
        )
        assert len(ledger) == len(asked)
    return without_s, with_s


async def replaying(options: argparse.Namespace, seed: int) -> tuple[float, float, float]:
    """Seconds to open a full ledger, to replay it in batches, and in calls of one request."""
    asked = requests(options.calls, seed)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        with Ledger(folder) as ledger:
            await CachedModel(Instant(), LedgerCoordinator(ledger), chunk=512).complete(asked)
        began = time.perf_counter()
        with Ledger(folder) as ledger:
            opened_s = time.perf_counter() - began
            model = CachedModel(Instant(), LedgerCoordinator(ledger))
            began = time.perf_counter()
            for at in range(0, len(asked), options.batch):
                answers = await model.complete(asked[at : at + options.batch])
                assert all(
                    isinstance(answer, Completion) and answer.from_ledger for answer in answers
                )
            batched_s = time.perf_counter() - began
            return opened_s, batched_s, await timed(model, asked, options.in_flight)


async def measure(options: argparse.Namespace) -> Table:
    seeds = range(options.repetitions)
    at_once = [await appending(options, seed, 0.0) for seed in seeds]
    loaded = [await appending(options, seed, options.model_ms / 1000) for seed in seeds]
    replays = [await replaying(options, seed) for seed in seeds]
    table = Table(
        "figure", "median", "worst", title=f"{options.calls:,} calls, {options.in_flight} in flight"
    )
    row(table, "durable appends/s", [options.calls / with_s for _, with_s in at_once], min)
    row(
        table,
        "ms a call, model answers at once",
        [overhead_ms(one, options) for one in at_once],
        max,
    )
    row(
        table,
        f"ms a call, model takes {options.model_ms:.0f} ms",
        [overhead_ms(one, options) for one in loaded],
        max,
    )
    row(
        table,
        f"replays/s, {options.batch} a call",
        [options.calls / batched_s for _, batched_s, _ in replays],
        min,
    )
    row(table, "replays/s, one a call", [options.calls / single_s for *_, single_s in replays], min)
    row(
        table,
        "answers/s read when opened",
        [options.calls / opened_s for opened_s, *_ in replays],
        min,
    )
    return table


def overhead_ms(pair: tuple[float, float], options: argparse.Namespace) -> float:
    """What the ledger adds to the run, by call: the time that the throughput loses."""
    return 1000 * (pair[1] - pair[0]) / int(options.calls)


def row(
    table: Table, name: str, values: list[float], worst: Callable[[list[float]], float]
) -> None:
    shown = (statistics.median(values), worst(values))
    table.add_row(name, *(f"{value:,.0f}" if value >= 100 else f"{value:.3f}" for value in shown))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64, help="requests of a batch in the replay")
    parser.add_argument("--model-ms", type=float, default=20.0)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--folder", help="where the ledgers are made; default: the folder for temporary files"
    )
    options = parser.parse_args()
    Console().print(asyncio.run(measure(options)))


if __name__ == "__main__":
    main()
