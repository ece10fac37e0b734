"""Settings of models: small, strict and frozen; they travel to the worker that builds the model.

One file for each kind of model; `parse_model` reads them all. Knows no prompt and no search.
"""

from serving.settings.base import Hostable, Routing, Served, Settings
from serving.settings.builtin import BUILTIN_MODELS, OptimizerSettings, TargetSettings
from serving.settings.functions import FunctionSettings
from serving.settings.litellm import LiteLLMSettings
from serving.settings.openai import OpenAISettings
from serving.settings.parsing import ModelSettings, addressed, parse_model
from serving.settings.prices import Prices
from serving.settings.scaling import Scaling
from serving.settings.scripted import ScriptedSettings
from serving.settings.vllm import VLLMSettings

__all__ = [
    "BUILTIN_MODELS",
    "FunctionSettings",
    "Hostable",
    "LiteLLMSettings",
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
