"""The one factory: builds a model, a client or an engine, from its settings.

Settings are small data that travel; what they describe is built here, where it is to run. This is
the only module that knows all settings, clients and engines, so none of these may import it: a part
of serving that needs a model built gets `load_engine` or `connect` from its caller. Ray, each
client and each engine are imported only when one is built: they take seconds to load, and a machine
that does not run an engine need not have its package.
"""

from functools import partial

from optimizer.errors import SettingsError
from optimizer.protocols import LanguageModel
from serving.builtin import TARGET_FOLDER
from serving.concurrency.fair_share import Group
from serving.engines import Engine
from serving.settings import (
    FunctionSettings,
    LiteLLMSettings,
    ModelSettings,
    OpenAISettings,
    OptimizerSettings,
    ScriptedSettings,
    Served,
    TargetSettings,
    VLLMSettings,
)


def connect(settings: ModelSettings, group: Group | None = None) -> LanguageModel:
    """Return the client with which a process of the Ray cluster calls a model.

    It belongs to one event loop.

    Args:
        settings: The model: one that is hosted on this cluster, or one behind an endpoint.
        group: The groups of the caller, the widest first. The callers of a hosted model that have
            groups share the capacity of its replicas; one without has `chunks_in_flight` for
            itself. The callers of an endpoint always share its concurrency limit.

    Raises:
        AccessError: If the key of an endpoint is missing.
        SettingsError: If there is no client for settings of this kind.
    """
    match settings:
        case OpenAISettings():
            return _endpoint_on_cluster(settings, group or ())
        case Served():
            return _hosted(settings, group) if settings.hosted else open_in_process(settings)
    raise _unknown("client", settings)


def open_in_process(settings: ModelSettings) -> LanguageModel:
    """Return the model for calls from this process, without Ray.

    It is an engine that is loaded at the first call, or an endpoint's client with a concurrency
    limit of its own.

    Raises:
        AccessError: If the key of an endpoint is missing.
        SettingsError: If there is no client for settings of this kind.
    """
    match settings:
        case OpenAISettings():
            from serving.clients.openai_model import OpenAIModel

            return OpenAIModel(settings, settings.api_key())
        case Served():
            from serving.clients.in_process import InProcessModel

            return InProcessModel(partial(load_engine, settings), settings.identity)
    raise _unknown("client", settings)


def load_engine(settings: Served) -> Engine:
    """Return the loaded engine of a model.

    A replica calls it once, with the settings sent to it.

    Raises:
        SettingsError: If there is no engine for settings of this kind, or the engine refuses its
            settings.
        StorageError: If the model's files cannot be read.
    """
    match settings:
        case TargetSettings():
            from serving.engines.ctranslate2 import CTranslate2Engine

            return CTranslate2Engine(settings.identity, TARGET_FOLDER, settings.threads)
        case OptimizerSettings():
            from serving.engines.rulebook.engine import RulebookEngine

            return RulebookEngine(settings.prior_bias, settings.seed)
        case ScriptedSettings():
            from serving.engines.scripted import ScriptedEngine

            return ScriptedEngine(
                settings.identity,
                settings.loaded_script,
                settings.seed,
                settings.log,
                settings.seconds,
            )
        case FunctionSettings():
            from serving.engines.function import FunctionEngine, function_called

            return FunctionEngine(settings, function_called(settings.function))
        case LiteLLMSettings():
            from serving.engines.function import FunctionEngine
            from serving.engines.litellm import ask_litellm

            return FunctionEngine(settings, ask_litellm(settings))
        case VLLMSettings():
            from serving.engines.vllm import VLLMEngine

            return VLLMEngine(
                settings.identity, settings.arguments, settings.cpu_threads, settings.chat_template
            )
    raise _unknown("engine", settings)


def _endpoint_on_cluster(settings: OpenAISettings, group: Group) -> LanguageModel:
    """Return an endpoint's client that shares the limit with all callers on this cluster."""
    from serving.clients.openai_model import OpenAIModel
    from serving.concurrency.gate_actor import endpoint_gate

    gate = endpoint_gate(
        settings.base_url, settings.model, settings.max_in_flight, group, settings.timeout_s
    )
    return OpenAIModel(settings, settings.api_key(), gate=gate)


def _hosted(settings: Served, group: Group | None) -> LanguageModel:
    """Return the client of a model that runs in replicas on this cluster."""
    from serving.clients.serve_model import ServeHandleModel
    from serving.concurrency.gate_actor import deployment_gate
    from serving.hosting.deployment import deployment_name

    name = deployment_name(settings)
    gate = (
        None if group is None else deployment_gate(name, settings.scaling.most_chunks_of_all, group)
    )
    return ServeHandleModel(
        name,
        settings.identity,
        settings.chunk,
        settings.chunks_in_flight,
        affine=settings.routing == "affine",
        gate=gate,
    )


def _unknown(what: str, settings: object) -> SettingsError:
    """Return the error for settings of a kind that cannot be built."""
    return SettingsError(
        f"There is no {what} for {type(settings).__name__}; name a model of the kind builtin, "
        "litellm, openai, python, scripted or vllm."
    )
