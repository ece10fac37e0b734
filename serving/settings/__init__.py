"""Which model: small strict settings that travel to a worker and build the heavy thing there.

Knows no prompt and no search.

One file a kind of model; `parse_model` reads them all.
"""

from serving.settings.base import Hostable, Routing, Served, Settings
from serving.settings.builtin import BUILTIN_MODELS, OptimizerSettings, TargetSettings
from serving.settings.openai import OpenAISettings
from serving.settings.parsing import ModelSettings, addressed, parse_model
from serving.settings.prices import Prices
from serving.settings.scaling import Scaling
from serving.settings.scripted import ScriptedSettings
from serving.settings.vllm import VLLMSettings

__all__ = [
    "BUILTIN_MODELS",
    "Hostable",
    "ModelSettings",
    "OpenAISettings",
    "OptimizerSettings",
    "Prices",
    "Routing",
    "Scaling",
    "ScriptedSettings",
    "Served",
    "Settings",
    "TargetSettings",
    "VLLMSettings",
    "addressed",
    "parse_model",
]
