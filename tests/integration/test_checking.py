"""A check's findings and its estimate, without Ray; and the real command once, on a real local Ray."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from rich.console import Console

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import trial_specs
from cluster.experiment.prepare import Experiment
from cluster.headroom import check
from cluster.headroom.check import Check, TaskCheck, check_to_json, judged
from cluster.headroom.cost_estimate import (
    CHECK_FILE,
    CallCost,
    ExperimentEstimate,
    cost_of_calls,
    estimated,
    format_money,
    format_tokens,
)
from cluster.headroom.table import check_table
from cluster.text.formatting import MISSING
from optimizer.errors import EndpointError, SettingsError
from optimizer.evaluation.answer_forms import NotRight, Reading
from optimizer.evaluation.headroom_probe import Probed
from optimizer.outcome_counts import Failure
from optimizer.scripted import ScriptedModel
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from optimizer.types import Failed, Outcome, Request
from serving.ledger.coordinator import LedgerCoordinator
from serving.ledger.store import Ledger
from serving.settings import parse_model
from serving.storage import open_folder
from tests.contracts import toy
from tests.contracts.commands import forked

ROOT = Path(__file__).parents[2]
COST = {"target": CallCost(100, 20, 50.0), "optimizer": CallCost(400, 200, 5.0)}
PRICES = {"prompt_per_million": 2.0, "completion_per_million": 10.0}
TASK = load_task("navigate", sizes=Sizes(10, 20, 80), seed=0)


def settings(**changes: Any) -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {
            "tasks": ["navigate", "coin_flip"],
            "strategies": ["apo", "abo"],
            "seeds": [0, 1],
            "budget": {"target_calls": 1000, "optimizer_calls": 100},
        }
        | changes
    )


def estimate_of(**changes: Any) -> ExperimentEstimate:
    experiment = settings(**changes)
    return estimated(experiment, trial_specs(experiment), COST)


def probed(right: int, other: int, flipped: int = 0) -> Probed:
    """Of 20 items; the repeats differ in `flipped` of them."""
    first = [1.0] * right + [0.0] * (20 - right)
    again = [1 - score for score in first[:flipped]] + first[flipped:]
    return Probed(
        (first, again, first),
        (first,),
        {"3 solved examples": [1.0] * other + [0.0] * (20 - other)},
        0.5,
        0.5,
    )


def test_calls_are_bounded_by_the_budgets_of_all_trials() -> None:
    found = estimate_of()
    assert found.trials == 8
    assert (found.total.calls, found.trial.calls) == (8 * 1100, 1100)
    assert found.total.tokens == 8 * (1000 * 120 + 100 * 600)
    assert found.total.wall_s == 8 * (1000 / 50 + 100 / 5)
    assert found.total.money is None
    assert (
        "At most 8,000 target and 800 optimizer calls in 8 trials: about 1.4 million tokens, 5:20 "
        "min" in found.line
    )


def test_money_is_known_where_both_models_have_prices() -> None:
    target = {"kind": "openai", "model": "a", "prices": PRICES}
    free = {"kind": "builtin", "name": "optimizer", "prices": {}}
    assert estimate_of(target=target).total.money is None
    found = estimate_of(target=target, optimizer=free)
    assert found.total.money == pytest.approx(8 * 1000 * (100 * 2 + 20 * 10) / 1e6)
    assert ", 3.20 in money" in found.line


def test_the_limits_of_a_trial_and_of_all_of_them_bound_the_estimate() -> None:
    found = estimate_of(
        budget={
            "target_calls": 1000,
            "optimizer_calls": 100,
            "tokens": 100_000,
            "total": {"target_calls": 5000, "wall_s": 100},
        }
    )
    assert (found.trial.tokens, found.total.tokens) == (100_000, 800_000)
    assert (found.total.calls, found.total.wall_s) == (5800, 100)
    assert (
        "At most 5,000 target and 800 optimizer calls in 8 trials: about 800,000 tokens"
        in found.line
    )


def test_a_budget_in_money_needs_prices() -> None:
    for budget in ({"money": 1.0}, {"total": {"money": 1.0}}):
        with pytest.raises(
            ValidationError, match="needs the prices of all models, and builtin:target has none"
        ):
            settings(budget=budget)


def test_prices_are_no_part_of_a_models_identity() -> None:
    plain, priced = (
        settings(target={"kind": "builtin", "name": "target"} | extra)
        for extra in ({}, {"prices": PRICES})
    )
    assert plain.target_model.identity == priced.target_model.identity


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"promt_per_million": 1}, "did you mean 'prompt_per_million'?"),
        ({"prompt_per_million": -1}, "prompt_per_million"),
        ({"completion_per_million": float("nan")}, "completion_per_million"),
        (3, "prices"),
    ],
)
@pytest.mark.parametrize(
    "model", [{"kind": "openai", "model": "a"}, {"kind": "builtin", "name": "target"}]
)
def test_prices_that_cannot_be_are_one_sentence(
    model: dict[str, Any], prices: Any, said: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        parse_model(model | {"prices": prices})
    assert "\n" not in str(caught.value)


def test_without_a_limit_there_is_no_bound() -> None:
    found = estimate_of(budget={"target_calls": None, "optimizer_calls": 100})
    assert found.total.calls is None
    assert (
        "any number of target and 800 optimizer calls in 8 trials: tokens and money have no limit"
        in found.line
    )


def test_a_run_is_estimated_by_its_folders_check_and_else_by_what_is_usual(tmp_path: Path) -> None:
    experiment, out = settings(), open_folder(tmp_path)
    tasks = {("navigate", 0): TASK}
    usual = cost_of_calls(experiment, tasks, out)
    assert not usual["target"].measured
    assert usual["target"].completion_tokens == experiment.sampling.max_tokens
    found = judged("navigate", TASK, probed(10, 19))
    check = Check((found,), COST, estimate_of())
    (tmp_path / CHECK_FILE).write_text(json.dumps(check_to_json(check)))
    assert cost_of_calls(experiment, tasks, out) == COST
    for broken in ("{", "[]", '{"calls": {"target": {"speed": 1}}}'):
        (tmp_path / CHECK_FILE).write_text(broken)
        assert cost_of_calls(experiment, tasks, out) == usual


@pytest.mark.parametrize(
    ("right", "other", "flipped", "pays", "because"),
    [
        (10, 19, 0, True, "0.95 is within reach (3 solved examples)"),
        (10, 11, 0, False, "little headroom"),
        (20, 20, 0, False, "at most 0.00 can be gained"),
    ],
)
def test_a_task_is_judged_by_its_tries(
    right: int, other: int, flipped: int, pays: bool, because: str
) -> None:
    found = judged("navigate", TASK, probed(right, other, flipped))
    assert found.task_estimate.pays is pays
    assert because in found.task_estimate.sentence
    assert found.headroom == pytest.approx(other / 20 - right / 20)


def test_noise_makes_the_detectable_gain_larger() -> None:
    quiet, noisy = (judged("navigate", TASK, probed(10, 19, flipped)) for flipped in (0, 10))
    assert noisy.noise.flip_rate == pytest.approx(1 / 3)
    assert (noisy.detectable or 0) > (quiet.detectable or 1)


def shown(check: Check) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(check_table(check))
        return console.export_text()


def test_the_table_says_all_of_it() -> None:
    tasks: tuple[TaskCheck, ...] = (
        judged("navigate", TASK, probed(10, 19)),
        judged("[red]x", TASK, probed(20, 20)),
    )
    check = Check(tasks, COST, estimate_of())
    text = shown(check)
    for told in (
        "0.50 [0.30, 0.70]",
        "Optimization can pay here",
        "Optimization cannot pay here",
        "[red]x",
        "all 8 trials",
        "8,000",
        "1.4 million tokens",
        "not known",
        "as measured here",
    ):
        assert told in text
    assert check.can_pay
    assert not Check(tasks[1:], COST, estimate_of()).can_pay


def test_what_was_not_measured_is_a_dash_with_its_reason_and_nothing_is_called_steady() -> None:
    none = [None] * 20
    first = [1.0] * 10 + [0.0] * 10
    failed = Probed((first, none, none), (none,), {"3 solved examples": first}, 0.5, 0.5)
    failures = (
        Failure(
            "target",
            "infrastructure",
            "http://x answered 422: seed: Extra inputs are not permitted.",
            60,
        ),
    )
    check = Check((judged("navigate", TASK, failed),), COST, estimate_of(), failures)
    text = " ".join(shown(check).split())
    assert "navigate 0.50 [0.30, 0.70] – –" in text  # noqa: RUF001
    assert (
        "60 calls of the target model were without an answer: http://x answered 422: seed: Extra "
        "inputs" in text
    )
    assert "navigate: Noise unknown: 1 of 3 repeats came. The detectable gain of " in text
    assert check_to_json(check)["failures"] == [
        {"model": "target", "kind": "infrastructure", "reason": failures[0].reason, "calls": 60}
    ]


def test_answers_that_cannot_be_read_are_no_verdict_on_the_task() -> None:
    wrong = [0.0] * 20
    shown_one = NotRight("Which city?", "Paris", "<<Paris>>", "")
    read = Reading(
        "exact",
        60,
        60,
        60,
        0,
        0.0,
        shown_one,
        "End with Answer.",
        {"number": 0.0},
        never_right=False,
        never_a_target=False,
        line_accuracy=0.9,
    )
    spoilt = Probed(
        (wrong,) * 3, (wrong,), {"the answer line": [1.0] * 18 + [0.0] * 2}, 0.0, 0.0, None, read
    )
    check = Check((judged("navigate", TASK, spoilt),), COST, estimate_of())
    text = " ".join(shown(check).split())
    assert (
        "navigate: 100% of the baseline's answers could not be read by the scorer exact. For "
        "example, to 'Which" in text
    )
    assert (
        "With the line 'End with Answer.' the baseline gets 0.90 right instead of 0.00: add that "
        "line" in text
    )
    assert "It is not known yet whether optimization can pay here" in text
    assert "cannot pay" not in text
    assert "0.000" not in text, "answers that are not read have no noise"
    assert " ".join(["navigate 0.00 [0.00, 0.16]", *[MISSING] * 7]) in text
    assert (check.can_pay, check.known) == (False, False)
    found: Any = check_to_json(check)
    assert found["known"] is False
    assert found["tasks"][0]["reading"]["spoils"] is True


class Model:
    """Settings of a scripted model, as far as a ledger looks at them."""

    chunk = 4

    def __init__(self, script: Callable[[Request], str | Outcome]) -> None:
        self._script = script

    def build(self) -> ScriptedModel:
        return ScriptedModel(self._script)


async def test_a_check_of_which_nothing_came_ends_with_the_reason_and_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "connect", lambda model: model.build())
    small, tasks = (
        settings(tasks=["navigate"], sizes={"train": 4, "dev": 4, "test": 4}),
        {("navigate", 0): TASK},
    )
    experiment = Experiment(small, trial_specs(small), tasks, open_folder(tmp_path))
    models: Any = [
        Model(lambda _: Failed("infrastructure", "http://x answered 400: It is off.")),
        Model(toy.author),
    ]
    with pytest.raises(
        EndpointError, match=r"Nothing could be measured.*http://x answered 400: It is off"
    ):
        await check._check(
            experiment, 2, lambda _: None, models, LedgerCoordinator(Ledger(tmp_path / "ledger"))
        )


def test_figures_are_told_shortly() -> None:
    assert (format_tokens(1_234_567), format_tokens(999), format_tokens(None)) == (
        "1.2 million tokens",
        "999 tokens",
        "no bound",
    )
    assert (format_money(1234.5), format_money(None)) == ("1,234.50", "not known")


def promptray(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cluster.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--repeats", "1"), "--repeats"),
        (("--strategy", "ape"), "no strategy called 'ape'"),
        (("--task", "none.jsonl"), "none.jsonl"),
    ],
)
def test_bad_input_ends_without_a_traceback(
    tmp_path: Path, option: tuple[str, str], said: str
) -> None:
    ended = forked("check", "tune_configs/quickstart.yaml", *option, "--out", str(tmp_path))
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_a_check_leaves_its_answers_to_a_run_and_its_exit_code_says_whether_it_pays(
    on_local_ray: None, tmp_path: Path
) -> None:
    tiny = {
        "tasks": ["navigate"],
        "strategies": ["abo"],
        "sizes": {"train": 6, "dev": 8, "test": 20},
        "budget": {"target_calls": 300, "optimizer_calls": 40},
    }
    file, out = tmp_path / "tiny.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(tiny))
    ended = promptray("check", str(file), "--out", str(out), "--repeats", "2")
    assert "Traceback" not in ended.stdout + ended.stderr
    found = json.loads((out / CHECK_FILE).read_text())
    assert ended.returncode == (0 if found["can_pay"] else 3), ended.stdout + ended.stderr
    assert found["tasks"][0]["noise"] == {"flip_rate": 0.0, "sd": 0.0, "repeats": 2, "came": 2}
    assert found["calls"]["target"]["calls_per_s"] > 0
    assert found["estimate"]["total"]["calls"] == 340
    assert f"promptray run {out}/settings.yaml" in ended.stdout
    assert "pay here, because" in ended.stdout
    again = promptray("check", str(out / "settings.yaml"), "--repeats", "2")
    assert again.returncode == ended.returncode
    repeated = json.loads((out / CHECK_FILE).read_text())
    assert repeated == found, "the ledger has every answer, so the speed is that of the first time"
