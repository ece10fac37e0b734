"""Host an experiment's models on the cluster that it runs on."""

from collections.abc import Callable, Sequence
from functools import partial

from cluster.own_code.code_files import CodeFiles, code_in_use, use_code
from serving.engines import Engine
from serving.hosting.deployment import host
from serving.models import load_engine
from serving.settings import ModelSettings, Served


def in_replicas(models: Sequence[ModelSettings]) -> list[Served]:
    """Return those of the models that run in replicas on this cluster."""
    return [model for model in models if model.served and model.hosted]


def host_models(models: Sequence[ModelSettings], tell: Callable[[str], None]) -> list[Served]:
    """Host those of the models that run in replicas, and return them.

    A replica can import the code that this process can import.

    Args:
        models: All models of the experiment.
        tell: Is told what is hosted.

    Raises:
        EndpointError: A model does not start.
        UserError: A model cannot be hosted with these settings.
    """
    hosted = in_replicas(models)
    if hosted:
        tell(f"Hosting {' and '.join(dict.fromkeys(model.label for model in hosted))}")
        code = code_in_use()
        host(hosted, partial(_load_with, code) if code.files else load_engine)
    return hosted


def _load_with(code: CodeFiles, model: Served) -> Engine:
    use_code(code)
    return load_engine(model)
