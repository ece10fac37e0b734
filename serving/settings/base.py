"""What all models' settings have in common: they are strict, small and frozen, and travel to where
the model is built.

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
"""Which replica gets a chunk: the less busy one of two, or always the same one for the same prompt.
"""


class Settings(BaseModel):
    """Strict: a key that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Priced(Settings):
    """What the settings of every kind of model have, and what others ask of them without a look at
    the kind.

    The answers here are those of a model that we run ourselves; an endpoint's settings give their
    own.
    """

    prices: Prices | None = None
    """What its tokens cost, for estimates and results; None: not known.

    Write 0 for what costs nothing.
    """

    @property
    def endpoint(self) -> str | None:
        """The base URL that the model is asked at; None: it is asked at replicas of its own, or in
        the process itself.
        """
        return None

    @property
    def key_place(self) -> str | None:
        """Where its key is read, a variable's name or a file, for messages; None: it needs no
        key.
        """
        return None

    @property
    def own_max_tokens(self) -> int | None:
        """Tokens of an answer at most, in place of the limit that its callers name; None: theirs
        holds.
        """
        return None

    def heard(self, sampling: Sampling) -> Sampling:
        """Return the sampling as the model is told it: requests for which this is equal are equal
        to the model.
        """
        return sampling

    @field_validator("prices", mode="before")
    @classmethod
    def _prices_in_one_sentence(cls, given: Any) -> Any:
        return _in_one_sentence(Prices, given)


class Hostable(Protocol):
    """What `deployment.host` needs to know of a model: anything picklable with these, from which
    its loader makes an engine.
    """

    @property
    def label(self) -> str:
        """The short name that people see and choose by, such as "builtin:target"."""

    @property
    def identity(self) -> str:
        """The model with its revision and what else decides its answers, as it stands in every
        ledger key.
        """

    @property
    def scaling(self) -> Scaling: ...

    @property
    def routing(self) -> Routing: ...

    @property
    def actor_options(self) -> dict[str, Any]:
        """What a replica asks of Ray: num_cpus, num_gpus, resources, accelerator_type."""


class Served(Priced, ABC):
    """A model that we run ourselves: hosted on Ray Serve for a cluster, or in this process without
    Ray.

    A subclass gives `kind`, a default for `cpus`, and the two abstract members; serving/models.py
    knows its engine. What it must not do is to let how a model is run (replicas, routing,
    resources) into its identity: an answer stays paid for when the model moves to another machine.
    """

    served: ClassVar[Literal[True]] = True
    """Do we run it ourselves? Then `deployment.host` comes before `models.connect`."""
    stand_in: ClassVar[bool] = False
    """Is it a small program in place of a large model?"""
    replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] | Scaling = 1
    """So many, or a mapping with `min` and `max` for as many as the load asks for."""
    routing: Routing = "balanced"
    """Affine routing is for many replicas and prompts that are asked again and again in small
    steps. With two replicas of the built-in target under vLLM it gained nothing over balanced: the
    same 0.89 of the prompt tokens came from the caches, as a chunk keeps a prompt's questions
    together anyhow; and in steps of 8 items it took 11.2 s instead of 9.7 s, as the work falls
    unevenly (tests/benchmarks/routing.py; two shared cores, 24 prompts of 309 tokens with 64 items
    each).
    """
    cpus: float = Field(0.0, ge=0, le=1024)
    """CPUs of Ray that a replica holds.

    0 for small models: trials are what Ray has to place, and their engines bound their threads
    themselves."""
    gpus: float = Field(0.0, ge=0, le=64)
    """GPUs of Ray that a replica holds.

    The built-in models use none: above 0 it only says on which nodes they are to run.
    """
    node_resources: dict[str, float] = {}
    """Custom resources of Ray that a replica's node must have, such as {"fast_disk": 1}."""
    chunk: int = Field(16, ge=8, le=32)
    """Prompts that one call carries to a replica."""
    chunks_in_flight: int = Field(8, ge=1, le=256)
    """Calls that one trial has under way at most."""

    @field_validator("replicas", mode="before")
    @classmethod
    def _scaling_in_one_sentence(cls, given: Any) -> Any:
        """A mapping is read here: pydantic would complain first that it is no number."""
        return _in_one_sentence(Scaling, given)

    @property
    @abstractmethod
    def label(self) -> str: ...

    @property
    @abstractmethod
    def identity(self) -> str: ...

    @property
    def scaling(self) -> Scaling:
        return self.replicas if isinstance(self.replicas, Scaling) else Scaling.fixed(self.replicas)

    @property
    def actor_options(self) -> dict[str, Any]:
        """What a replica asks of Ray, in the words of `ray_actor_options`."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus} | (
            {"resources": self.node_resources} if self.node_resources else {}
        )

    def most_at_once(self, trials: int) -> int:
        """Return how many requests are under way at once at most while so many trials run: a chunk
        of each.
        """
        return self.chunk * trials


def _in_one_sentence(kind: type[Strict], given: Any) -> Any:
    """A mapping within a model's settings, read by its own kind, whose fault names its own key."""
    if not isinstance(given, Mapping):
        return given
    try:
        return kind.model_validate(given)
    except ValidationError as problem:
        raise ValueError(sentence(problem).rstrip(".")) from None
