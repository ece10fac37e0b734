"""A results folder whose one trial has ten thousand candidates."""

from pathlib import Path
from random import Random

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import write_settings
from cluster.results.folder import write_trial
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Prompt
from serving.storage import open_folder

ROUNDS, CHILDREN = 100, 100
WORDS = "Write down each step. " * 10
TRIAL = "navigate-apo-s0"


def write_many(out: Path) -> None:
    rng = Random(0)
    parents = [Candidate(Prompt("Think."), "seed", 0)]
    rounds = []
    for number in range(ROUNDS):
        children = [
            Candidate(
                Prompt(f"Think {number} {child}. " + WORDS),
                "edit",
                number,
                rng.choice(parents).id,
                "why",
            )
            for child in range(CHILDREN)
        ]
        standings = [
            Standing(one, rng.random(), 50, None, place < 4) for place, one in enumerate(children)
        ]
        rounds.append(Round(number, tuple(standings)))
        parents = children[:4]
    result = TrialResult(
        trial=TRIAL,
        task="navigate",
        strategy="apo",
        selection="racing",
        seed=0,
        target="t",
        optimizer="o",
        status="finished",
        seed_prompt=Prompt("Think."),
        best=parents[0],
        rounds=tuple(rounds),
    )
    write_settings(
        ExperimentSettings.model_validate({"tasks": ["navigate"], "strategies": ["apo"]}),
        open_folder(out),
    )
    write_trial(out, result)
