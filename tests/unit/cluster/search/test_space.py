"""Search spaces: every point lies in its space, a grid has each once, settings stay with their
owner, mistakes are named.
"""

import tracemalloc
from pathlib import Path
from random import Random as Chance
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import optimizers, plan_of, trial_specs
from cluster.search.domains import Domain, FloatRange, IntRange, OneOf, parse_domain
from cluster.search.searchers import Grid, Optuna, Random
from cluster.search.space import Dimension, Space
from optimizer.errors import SettingsError
from optimizer.selection import Full, Racing
from optimizer.strategies import ABO, APO
from optimizer.types import Sampling
from tests.contracts.searcher_contract import POINTS, SPACE, SearcherContract, lies_in

SMALL: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": ["apo", {"name": "abo", "label": "bare", "settings": {"cases": 1}}],
}


def read(folder: Path, space: Any = None, search: Any = None, **changes: Any) -> ExperimentSettings:
    file = folder / "x.yaml"
    section = {"searcher": "grid", "space": space or {}} | (search or {})
    file.write_text(yaml.safe_dump(SMALL | {"search": section} | changes), encoding="utf-8")
    return ExperimentSettings.read(file)


def complaint(folder: Path, space: Any = None, search: Any = None, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, space, search, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestGrid(SearcherContract):
    searcher, trials, expected = Grid(), None, POINTS

    def test_it_has_every_point_once(self) -> None:
        points = self.points()
        assert all(point not in points[:place] for place, point in enumerate(points))


class TestRandom(SearcherContract):
    searcher, trials, expected = Random(seed=1), 9, 9

    def test_it_repeats_no_point_and_ends_with_the_space(self) -> None:
        points = Random().plan(SPACE, 500)
        assert len(points) == POINTS
        assert all(point not in points[:place] for place, point in enumerate(points))

    def test_another_seed_draws_others(self) -> None:
        assert Random(seed=2).plan(SPACE, 9) != Random(seed=1).plan(SPACE, 9)


class TestOptuna(SearcherContract):
    searcher, trials, expected = Optuna(), 24, 24

    def test_it_finds_the_better_half(self) -> None:
        later = [point["strategy.beam"] for point in self.points()[12:]]
        assert sum(beam in (3, 4) for beam in later) >= 9  # of 12; chance alone would give 6

    def test_it_waits_for_all_but_the_trials_that_run_beside_it(self) -> None:
        study = Optuna().open(SPACE, 2)
        assert study.propose(0) is not None
        assert study.propose(1) is not None
        study.tell(1, 0.5)
        assert study.propose(2) is None
        study.tell(0, None)
        assert study.propose(2) is not None

    def test_proposals_depend_on_results_and_not_on_their_timing(self) -> None:
        in_order, shuffled = (
            Optuna(startup_trials=1).open(SPACE, 2),
            Optuna(startup_trials=1).open(SPACE, 2),
        )
        for study, order in ((in_order, (0, 1)), (shuffled, (1, 0))):
            for number in (0, 1):
                study.propose(number)
            for number in order:
                study.tell(number, number / 2)
        assert in_order.propose(2) == shuffled.propose(2)


domains = st.one_of(
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True).map(
        lambda values: OneOf(tuple(values))
    ),
    st.builds(
        lambda low, more, log: IntRange(low, low + more, log),
        st.integers(1, 5),
        st.integers(1, 5),
        st.booleans(),
    ),
    st.builds(
        lambda low, more, log: FloatRange(low, low + more, log),
        st.floats(0.1, 1),
        st.floats(0.1, 5),
        st.booleans(),
    ),
)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    names = ("a", "b", "c")[: draw(st.integers(1, 3))]
    children = draw(
        st.lists(
            st.tuples(domains, st.none() | st.frozensets(st.sampled_from(names), min_size=1)),
            max_size=3,
        )
    )
    return Space(
        (
            Dimension("strategy", OneOf(names)),
            *(
                Dimension(
                    f"setting{number}", domain, "strategy" if among else "", among or frozenset()
                )
                for number, (domain, among) in enumerate(children)
            ),
        )
    )


@given(spaces(), st.integers(0, 50))
def test_every_drawn_point_lies_in_its_space(space: Space, seed: int) -> None:
    rng = Chance(seed)
    assert lies_in(space, space.sample(lambda dimension: dimension.domain.sample(rng)))


@given(spaces(), st.integers(1, 20), st.integers(0, 5))
def test_random_plans_are_distinct_and_the_same_for_a_seed(
    space: Space, trials: int, seed: int
) -> None:
    points = Random(seed=seed).plan(space, trials)
    assert points == Random(seed=seed).plan(space, trials)
    assert 0 < len(points) <= trials
    assert all(point is not None and lies_in(space, point) for point in points)
    assert all(point not in points[:place] for place, point in enumerate(points))


@given(spaces())
def test_a_grid_has_each_point_once_and_all_that_chance_can_draw(space: Space) -> None:
    if key := space.endless():
        with pytest.raises(SettingsError, match=key):
            Grid().plan(space, None)
        return
    points = list(Grid().plan(space, None))
    assert all(point is not None and lies_in(space, point) for point in points)
    assert all(point not in points[:place] for place, point in enumerate(points))
    assert all(point in points for point in Random().plan(space, 20))


@given(spaces())
def test_points_are_counted_without_making_them(space: Space) -> None:
    assert space.count() == (None if space.endless() else len(list(space.all())))


BILLION = {"int": [1, 1_000_000_000]}


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({"strategy.beam": BILLION}, "2,000,000,000"),
        ({"strategy.beam": BILLION, "strategy.minibatch": BILLION}, "2" + ",000" * 6),
        ({"apo.beam": BILLION}, "1,000,000,001"),
        ({"sampling.max_tokens": BILLION}, "2,000,000,000"),
        ({"strategy.beam": {"int": [1, 2**62]}}, "9,223,372,036,854,775,808"),
    ],
)
def test_a_grid_of_a_billion_points_is_refused_by_its_number(
    tmp_path: Path, space: dict[str, Any], count: str
) -> None:
    tracemalloc.start()
    try:
        assert f"more than 10,000 points, {count} of them" in complaint(tmp_path, space)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_range_of_a_billion_is_searched_at_random(tmp_path: Path) -> None:
    settings = read(tmp_path, {"strategy.beam": BILLION}, {"searcher": "random", "trials": 1000})
    assert len(trial_specs(settings)) == 1000


def test_a_search_may_name_its_models_by_labels_of_the_file(tmp_path: Path) -> None:
    models = {
        name: {"kind": "openai", "model": name, "base_url": f"http://127.0.0.1:9/{name}"}
        for name in ("small", "large")
    }
    settings = read(
        tmp_path, {"optimizer": ["small", "large"], "optimizer.max_tokens": [10]}, models=models
    )
    assert [model.identity for model in optimizers(settings)] == [
        f"openai:{name}@http://127.0.0.1:9/{name};max_tokens=10" for name in models
    ]
    assert "There is no model called 'builtin:optimizer'; known are: large, small." in complaint(
        tmp_path, {"optimizer": ["builtin:optimizer"]}, models=models
    )
    assert "known are" in complaint(tmp_path, models={"small": {"kind": "opnai"}})


@given(domains)
def test_a_domain_is_read_from_what_a_file_would_say(domain: Domain) -> None:
    match domain:
        case OneOf(values):
            assert parse_domain(list(values)) == parse_domain({"choice": list(values)}) == domain
        case IntRange(low, high, log):
            assert parse_domain({"int": [low, high], "log": log}) == domain
        case FloatRange(low, high, log):
            assert parse_domain({"float": [low, high], "log": log}) == domain


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (
            {"strategy.bean": [1]},
            "In search.space, strategy.bean: There is no setting called 'bean'; did you mean "
            "'beam'?",
        ),
        (
            {"bare.error_groups": [1]},
            "In search.space, bare.error_groups: There is no setting called 'error_groups'",
        ),
        (
            {"strategy.beam": [1, 0]},
            "In search.space, strategy.beam: Of strategy 'apo': The setting beam is 0, and must be ",
        ),
        ({"strategy.beam": {"int": [0, 3]}}, "beam is 0"),
        ({"strategy.beam": ["many"]}, "beam cannot be 'many'"),
        (
            {"bare.refine": ["all"]},
            "In search.space, bare.refine: Of strategy 'abo': The setting refine cannot be 'all'",
        ),
        ({"strategy.beam": 3}, "It must be a list of values"),
        ({"strategy.beam": []}, "A choice needs a list of one value or more"),
        ({"strategy.beam": [2, 2]}, "The value 2 stands twice"),
        ({"strategy.beam": [[1]]}, "[1] is none of these"),
        ({"strategy.beam": {"int": [3, 1]}}, "[3, 1] is empty"),
        ({"strategy.beam": {"int": [1, 2.5]}}, "A range of kind int is two such numbers"),
        ({"strategy.beam": {"int": [1, 3], "float": [1, 2]}}, "exactly one of: choice, int, float"),
        ({"strategy.beam": {"int": [1, 3], "lag": True}}, "did you mean 'log'?"),
        ({"strategy.temperature": {"float": [0, 1], "log": True}}, "must begin above 0"),
        (
            {"strategy.temperature": {"float": [0, float("nan")]}},
            "A range of kind float is two such numbers",
        ),
        (
            {"strategy.temperature": {"float": [0, 10**400]}},
            "A range of kind float is two such numbers",
        ),
        ({"strategy.beam": {"int": [1, 10**400]}}, "A range of kind int is two such numbers"),
        ({"strategy": ["apo"]}, "stand under 'strategies'"),
        ({"target": ["builtin:target"]}, "The target is what prompts are for"),
        (
            {"x": [1]},
            "known are: strategy.SETTING, selection.SETTING, optimizer.SETTING, sampling.SETTING, "
            "apo.",
        ),
        ({"abo.beam": [1]}, "A space has no such key"),
        (
            {"strategy.beam": [1], "bare.beam": [2]},
            "bare.beam and strategy.beam set the same of bare; remove one.",
        ),
        (
            {"selection": ["best"]},
            "In search.space, selection: There is no selection rule called 'best'; known are: "
            "full, racing, ",
        ),
        ({"selection": {"int": [1, 2]}}, "It must be a list of names."),
        ({"selection.block": [1]}, "did you mean 'block_items'?"),
        ({"optimizer": ["builtin:nobody"]}, "known are: optimizer, target"),
        (
            {"optimizer.prior_bias": {"float": [0, 0.5]}},
            "must be listed, because every model is hosted before the first trial",
        ),
        ({"optimizer.prior_bias": [2.0]}, "prior_bias"),
        ({"sampling.temperature": [3]}, "temperature cannot be 3"),
        ({"sampling.top_p": [1]}, "known are: temperature, max_tokens."),
    ],
)
def test_a_space_that_cannot_be_says_why(
    tmp_path: Path, space: dict[str, Any], expected: str
) -> None:
    assert expected in complaint(tmp_path, space)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (
            {"searcher": "tpe"},
            "There is no searcher called 'tpe'; known are: grid, optuna, random.",
        ),
        ({"searcher": {"name": "random", "settings": {"sed": 1}}}, "did you mean 'seed'?"),
        ({"searcher": {"name": "optuna", "settings": {"startup_trials": 0}}}, "must be at least 1"),
        ({"trials": 5}, "The searcher grid tries every point"),
        ({"searcher": "random", "trials": 0}, "search.trials"),
        (
            {"scheduler": "hyperband"},
            "There is no scheduler called 'hyperband'; known are: asha, median, none.",
        ),
        (
            {"scheduler": {"name": "asha", "settings": {"reduction_facto": 3}}},
            "did you mean 'reduction_factor'?",
        ),
        ({"scheduler": {"name": "asha", "settings": {"grace_rounds": 0}}}, "grace_rounds is 0"),
        (
            {"scheduler": {"name": "asha", "settings": {"reduction_factor": 1}}},
            "reduction_factor is 1",
        ),
        (
            {"scheduler": {"name": "median", "settings": {"least_trials": "few"}}},
            "least_trials cannot be 'few'",
        ),
        (
            {"space": {"strategy.temperature": {"float": [0, 1]}}},
            "strategy.temperature is a range of real numbers",
        ),
        (
            {
                "space": {
                    "strategy.beam": {"int": [1, 10]},
                    "strategy.minibatch": {"int": [1, 9999]},
                }
            },
            "more than 10,000 points",
        ),
        ({"spaces": {}}, "did you mean 'space'?"),
    ],
)
def test_a_search_that_cannot_be_says_why(
    tmp_path: Path, search: dict[str, Any], expected: str
) -> None:
    assert expected in complaint(tmp_path, search=search)


def test_a_label_that_means_something_else_is_refused(tmp_path: Path) -> None:
    strategies = [{"name": "apo", "label": "optimizer"}]
    assert "cannot be labelled 'optimizer'" in complaint(tmp_path, strategies=strategies)


def test_a_setting_applies_to_the_strategies_that_have_it(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {"strategy.beam": [1, 2], "strategy.demonstrations": [0, 1], "apo.error_groups": [3]},
    )
    points = [trial_spec.point for trial_spec in trial_specs(settings)]
    assert points == [
        *({"strategy": "apo", "strategy.beam": beam, "apo.error_groups": 3} for beam in (1, 2)),
        *(
            {"strategy": "bare", "strategy.beam": beam, "strategy.demonstrations": shown}
            for beam in (1, 2)
            for shown in (0, 1)
        ),
    ]


def test_a_plan_is_made_of_its_point_and_what_the_file_says_besides(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {
            "bare.demonstrations": [0],
            "selection": ["full", "racing"],
            "selection.alpha": [0.2],
            "sampling.temperature": [0.5],
            "optimizer": ["builtin:optimizer"],
            "optimizer.prior_bias": [0.3],
        },
    )
    plans = [plan_of(settings, trial_spec) for trial_spec in trial_specs(settings)]
    assert [plan.id for plan in plans] == [f"navigate-p{number:02}-s0" for number in range(4)]
    assert [plan.strategy for plan in plans] == [
        APO(),
        APO(),
        ABO(cases=1, demonstrations=0),
        ABO(cases=1, demonstrations=0),
    ]
    assert [plan.selection for plan in plans] == [Full(), Racing(alpha=0.2)] * 2
    assert {plan.sampling for plan in plans} == {Sampling(0.5, 512)}
    assert all("prior_bias=0.3" in plan.optimizer.identity for plan in plans)
    assert plans[0].settings["selection"] == "full"
    assert "selection.alpha" not in plans[0].settings


def test_every_optimizer_of_the_space_is_known_before_the_first_trial(tmp_path: Path) -> None:
    biases = [0.0, 0.2]
    space = {"optimizer.prior_bias": biases, "strategy.temperature": {"float": [0, 1]}}
    models = optimizers(read(tmp_path, space, {"searcher": "random"}))
    assert len(models) == 2
    assert all(any(f"prior_bias={bias}" in model.identity for model in models) for bias in biases)


def test_comparison_groups_are_of_a_task_and_a_seed_and_run_side_by_side(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        search={"searcher": "random", "space": {"strategy.beam": [1, 2]}, "trials": 3},
        tasks=["navigate", "coin_flip"],
        seeds=[0, 4],
    )
    trials = trial_specs(settings)
    assert [trial.trial for trial in trials[:4]] == [
        "navigate-p00-s0",
        "coin_flip-p00-s0",
        "navigate-p01-s0",
        "coin_flip-p01-s0",
    ]
    assert len(trials) == 12
    assert {trial.comparison_group for trial in trials} == {
        (task, seed) for task in ("navigate", "coin_flip") for seed in (0, 4)
    }
    assert len({trial.trial for trial in trials}) == 12


def test_without_a_search_trials_are_named_by_their_strategy(tmp_path: Path) -> None:
    trials = trial_specs(read(tmp_path, seeds=[2]).model_copy(update={"search": None}))
    assert [trial.trial for trial in trials] == ["navigate-apo-s2", "navigate-bare-s2"]


def test_what_is_written_is_read_as_equal(tmp_path: Path) -> None:
    settings = read(tmp_path, {"strategy.beam": {"int": [1, 3]}, "bare.demonstrations": [0, 1]})
    file = tmp_path / "again.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    again = ExperimentSettings.read(file)
    assert again == settings
    assert trial_specs(again) == trial_specs(settings)
