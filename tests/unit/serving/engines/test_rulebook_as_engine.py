"""The rulebook keeps the contract of engines, here and in this very process."""

import pytest

from optimizer.protocols import LanguageModel
from serving.engines import Engine
from serving.models import load_engine, open_in_process
from serving.settings import OptimizerSettings
from tests.contracts.client_contract import LanguageModelContract
from tests.contracts.engine_contract import EngineContract


class TestRulebookEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return load_engine(OptimizerSettings(prior_bias=0.1, seed=0))


class TestRulebookInProcess(LanguageModelContract):
    @pytest.fixture
    def model(self) -> LanguageModel:
        return open_in_process(OptimizerSettings())


def test_the_name_is_the_one_in_the_settings() -> None:
    model = OptimizerSettings()
    assert open_in_process(model).name == model.identity
