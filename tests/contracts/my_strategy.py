from dataclasses import dataclass, replace

from optimizer.candidate import Candidate, Round
from optimizer.operators.asking import Asking
from optimizer.operators.induce import induce
from optimizer.sampling import some
from optimizer.strategies.lineage import unseen
from optimizer.types import Sampling
from optimizer.validators import at_least


@dataclass(frozen=True)
class Climb:
    """Asks each round for new instructions, from solved examples, and keeps the best one."""

    rounds: int = 3
    children: int = 4

    def __post_init__(self):
        at_least(0, rounds=self.rounds)
        at_least(1, children=self.children)

    async def search(self, problem, optimizer, evaluate, rng):
        ask = Asking(optimizer, Sampling(temperature=0.9, max_tokens=512), rng)
        best, seen, texts = Candidate(problem.seed, "seed", 0), set(), []
        for number in range(self.rounds + 1):
            if number:  # round 0 measures the baseline alone
                shown = [some(problem.train, 3, rng) for _ in range(self.children)]
                texts = await ask([induce(problem, solved) for solved in shown])
            prompts = [replace(best.prompt, instruction=text) for text in texts if text]
            children = [Candidate(prompt, "induce", number, best.id) for prompt in prompts]
            seen.add(best.id)
            new = unseen(children, seen)
            seen.update(child.id for child in new)
            standings = await evaluate.select([best, *new], 1, rng)  # on the dev split
            yield Round(number, standings, f"{len(new)} new prompts.", ask.take_parse_failures())
            best = standings[0].candidate
            ask.go_on()  # ends the search where its budget has
