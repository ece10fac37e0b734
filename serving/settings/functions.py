"""Settings of a model that is a Python function: an agent, a retriever, a vendor's package."""

from collections.abc import Callable
from inspect import signature
from typing import Any, Literal

from pydantic import Field, field_validator

from optimizer.registry import Registry, Unfit, is_reference
from serving.settings.base import Served

Where = Literal["replica", "trial"]
SAMPLING = "sampling"
"""The parameter of a function that wants to know how to draw its answer."""


def _as_function(name: str, found: object) -> Callable[..., Any]:
    """Return what was found under a name, where it can be called as a model.

    Raises:
        Unfit: It cannot.
    """
    if not callable(found):
        raise Unfit("it is no function (messages, example) that returns an answer")
    try:
        parameters = signature(found).parameters
        signature(found).bind([], {}, **({SAMPLING: {}} if SAMPLING in parameters else {}))
    except (TypeError, ValueError):
        raise Unfit(
            "it does not take (messages, example), or (messages, example, sampling)"
        ) from None
    return found


FUNCTIONS: Registry[Callable[..., Any]] = Registry("model function", {}, "", _as_function)
"""Functions that were imported as models; a name is looked up here wherever one may not import."""


class CalledHere(Served):
    """The common part of models that Python code on this cluster calls.

    A subclass gives `kind`, `label` and `identity`.
    """

    where: Where = "replica"
    """`replica`: in replicas on Ray Serve, which all trials share, so that `max_in_flight` holds
    for all of them together. `trial`: in each trial's own process, which needs no Serve.
    """
    max_in_flight: int = Field(16, ge=1, le=512)
    """Maximum number of concurrent calls of one replica, or of one trial [ours]."""
    timeout_s: float = Field(120.0, gt=0, le=3600)
    """Seconds for one call; a call that takes longer has failed."""
    attempts: int = Field(3, ge=1, le=100)
    """Attempts of one call that fails or is late [ours]; a function that is charged for by the call
    may want 1.
    """

    @property
    def hosted(self) -> bool:
        """Return whether it runs in replicas."""
        return self.where == "replica"


class FunctionSettings(CalledHere):
    """Settings of `python:MODULE:FUNCTION`.

    The function takes the messages, as a list of mappings with `role` and `content`, and the row of
    the example without its target, and returns the answer: a text, or a mapping with `text` and,
    where they are known, `prompt_tokens` and `completion_tokens`. It may be asynchronous. With a
    parameter `sampling` it gets a mapping with `temperature`, `max_tokens` and `sample`, the number
    of the draw.
    """

    kind: Literal["python"] = "python"
    function: str
    """`module:function`. The module is one of the files that the experiment lists under `code`, or
    one that is installed on every node.
    """
    revision: str = ""
    """A name of your own for what decides the function's answers beside its code, such as the model
    that it calls. Another revision asks anew, and pays anew.
    """
    code_revision: str = ""
    """The revision of the function's code. It is filled in where an experiment is read to be run: a
    changed function is another model.
    """

    @field_validator("function")
    @classmethod
    def _is_reference(cls, function: str) -> str:
        if not is_reference(function):
            raise ValueError("must be module:function, as in my_agent:answer")
        return function

    @property
    def label(self) -> str:
        """Return the kind and the function."""
        return f"python:{self.function}"

    @property
    def identity(self) -> str:
        """Return the label with the revisions."""
        own = {"code": self.code_revision, "revision": self.revision}
        return self.label + "".join(f";{key}={value}" for key, value in own.items() if value)

    @property
    def sees_examples(self) -> bool:
        """Return that its calls carry the row of their example."""
        return True
