"""A trial's result survives JSON and pickling."""

import json
import pickle

import pytest

from cluster.result import TrialResult
from optimizer.errors import DataError


def test_json_gives_back_an_equal_result(results: list[TrialResult]) -> None:
    for result in results:
        assert TrialResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_pickling_gives_back_an_equal_result(result: TrialResult) -> None:
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("missing", ["trial", "rounds", "best", "seed_prompt"])
def test_a_missing_part_is_one_sentence(result: TrialResult, missing: str) -> None:
    data = result.to_json()
    del data[missing]
    with pytest.raises(DataError, match=missing):
        TrialResult.from_json(data)


def test_an_unknown_part_is_one_sentence(result: TrialResult) -> None:
    with pytest.raises(DataError, match="surprise"):
        TrialResult.from_json(result.to_json() | {"surprise": 1})
