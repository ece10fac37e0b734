"""The common part of all models' settings: strict, small and frozen.

Pure data: settings know no engine, no client and no Ray. What is built from them is built by
serving/models.py. Knows no kind of model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from optimizer.types import Sampling
from serving.settings.prices import Prices
from serving.settings.scaling import MOST_REPLICAS, Scaling
from serving.settings.validation import Strict, sentence

Routing = Literal["balanced", "affine"]
"""The replica that gets a chunk: the less busy one of two, or always the same one for the same
prompt.
"""


class Settings(BaseModel):
    """Strict settings: an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Priced(Settings):
    """Settings of every kind of model, with the properties that callers need of any kind.

    The values here are those of a model that runs on this cluster or in this process; an endpoint's
    settings override them.
    """

    prices: Prices | None = None
    """Prices of its tokens, for estimates and results; None: not known. Write 0 for a free
    model.
    """

    @property
    def endpoint(self) -> str | None:
        """Return the base URL of the endpoint; None for a model in replicas or in this process."""
        return None

    @property
    def key_place(self) -> str | None:
        """Return where its key is read, a variable's name or a file; None: it needs no key."""
        return None

    @property
    def own_max_tokens(self) -> int | None:
        """Return the limit of an answer's tokens that replaces the callers' limit, or None."""
        return None

    @property
    def sees_examples(self) -> bool:
        """Return whether its calls carry the row of their example beside the messages."""
        return False

    def heard(self, sampling: Sampling) -> Sampling:
        """Return the sampling as the model receives it.

        Requests for which it is equal are equal to the model.
        """
        return sampling

    @field_validator("prices", mode="before")
    @classmethod
    def _prices_in_one_sentence(cls, given: Any) -> Any:
        return _in_one_sentence(Prices, given)


class Hostable(Protocol):
    """The properties of a model that `deployment.host` needs.

    Anything picklable with these can be hosted; its loader makes an engine from it.
    """

    @property
    def label(self) -> str:
        """Return the short name that people see and choose by, such as "builtin:target"."""

    @property
    def identity(self) -> str:
        """Return the model with its revision and all that decides its answers.

        It is part of every ledger key.
        """

    @property
    def scaling(self) -> Scaling:
        """Return how many replicas there are."""

    @property
    def routing(self) -> Routing:
        """Return which replica gets a chunk."""

    @property
    def actor_options(self) -> dict[str, Any]:
        """Return a replica's Ray options: num_cpus, num_gpus, resources, accelerator_type."""


class Served(Priced, ABC):
    """A model that runs on this cluster, hosted on Ray Serve, or in this process without Ray.

    A subclass gives `kind`, a default for `cpus`, and the two abstract members; serving/models.py
    knows its engine. It must not let how a model is run (replicas, routing, resources) into its
    identity: an answer stays paid for when the model moves to another machine.
    """

    served: ClassVar[Literal[True]] = True
    """The model runs here: call `deployment.host` before `models.connect`."""
    stand_in: ClassVar[bool] = False
    """The model is a small program in place of a large model."""
    replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] | Scaling = 1
    """A fixed number, or a mapping with `min` and `max` to follow the load."""
    routing: Routing = "balanced"
    """Affine routing is for many replicas and prompts that are used again and again in small
    steps. With two replicas of the built-in target under vLLM it gained nothing over
    balanced: the same 0.89 of the prompt tokens came from the caches, as a chunk has a
    prompt's questions together anyway; and in steps of 8 items it took 11.2 s instead of 9.7
    s, as the work falls unevenly (tests/benchmarks/routing.py; two shared cores, 24 prompts
    of 309 tokens with 64 items each).
    """
    cpus: float = Field(0.0, ge=0, le=1024)
    """CPUs of Ray that a replica holds. 0 for small models: trials are what Ray has to place,
    and their engines bound their threads themselves.
    """
    gpus: float = Field(0.0, ge=0, le=64)
    """GPUs of Ray that a replica holds. The built-in models use none: above 0 it only decides on
    which nodes they run.
    """
    node_resources: dict[str, float] = {}
    """Custom resources of Ray that a replica's node must have, such as {"fast_disk": 1}."""
    chunk: int = Field(16, ge=8, le=32)
    """Prompts in one call of a replica."""
    chunks_in_flight: int = Field(8, ge=1, le=256)
    """Maximum number of calls that one trial has in flight."""

    @field_validator("replicas", mode="before")
    @classmethod
    def _scaling_in_one_sentence(cls, given: Any) -> Any:
        """Read a mapping here: pydantic would complain first that it is no number."""
        return _in_one_sentence(Scaling, given)

    @property
    def hosted(self) -> bool:
        """Return whether it runs in replicas; else each process that calls it runs it itself."""
        return True

    @property
    @abstractmethod
    def label(self) -> str:
        """Return the short name of the model."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Return the model with all that decides its answers."""

    @property
    def scaling(self) -> Scaling:
        """Return how many replicas there are."""
        return self.replicas if isinstance(self.replicas, Scaling) else Scaling.fixed(self.replicas)

    @property
    def actor_options(self) -> dict[str, Any]:
        """Return a replica's Ray options, in the words of `ray_actor_options`."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus} | (
            {"resources": self.node_resources} if self.node_resources else {}
        )

    def most_at_once(self, trials: int) -> int:
        """Return the maximum number of requests in flight with so many trials: a chunk of each."""
        return self.chunk * trials


def _in_one_sentence(kind: type[Strict], given: Any) -> Any:
    """Read a mapping within a model's settings with its own class.

    So a message names the key inside the mapping.
    """
    # Anything else is left to pydantic, with its own message.
    if not isinstance(given, Mapping):
        return given
    try:
        return kind.model_validate(given)
    except ValidationError as problem:
        raise ValueError(sentence(problem).rstrip(".")) from None
