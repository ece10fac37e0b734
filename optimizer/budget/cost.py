"""Costs of calls: amounts, limits and price lists; pure values."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Literal

from optimizer.types import Outcome, Purpose, Request

Role = Literal["target", "optimizer", "grader"]
ROLES: tuple[Role, Role] = ("target", "optimizer")
"""The models that every experiment has; a grader calls one only where it is a judge."""
TESTING: frozenset[Purpose] = frozenset(("test", "grade_test"))
"""The purposes of a final test's calls."""
TEMPLATE_TOKENS = 64
"""Tokens that a chat template may add to a prompt, such as a system message of its own [ours:
Qwen adds about 20, Llama 3.1 about 30].
"""
MESSAGE_TOKENS = 16
"""Tokens that it may add to each message [ours: about 5 in those templates]."""
_CLOSE = 1e-9
"""Tolerance of comparisons: sums of money are floats."""


@dataclass(frozen=True)
class Cost:
    """The cost of any number of calls; money is in the currency of the models' prices."""

    target_calls: int = 0
    optimizer_calls: int = 0
    tokens: int = 0
    """Tokens read and written, of all models."""
    money: float = 0.0
    grader_calls: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + its for mine, its in zip(self.amounts, other.amounts, strict=True)))  # type: ignore[arg-type]

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(*(mine - its for mine, its in zip(self.amounts, other.amounts, strict=True)))  # type: ignore[arg-type]

    def __mul__(self, times: int) -> "Cost":
        return Cost(*(amount * times for amount in self.amounts))  # type: ignore[arg-type]

    @property
    def calls(self) -> int:
        """Return the calls of all models."""
        return self.target_calls + self.optimizer_calls + self.grader_calls

    @property
    def amounts(self) -> tuple[int | float, ...]:
        """Return the amounts, in the order of the fields."""
        return (
            self.target_calls,
            self.optimizer_calls,
            self.tokens,
            self.money,
            self.grader_calls,
        )

    def to_json(self) -> dict[str, int | float]:
        """Return the amounts by name; grader calls only where there are any, as of old."""
        amounts = asdict(self)
        if not self.grader_calls:
            del amounts["grader_calls"]
        return amounts

    def at_least(self, other: "Cost") -> "Cost":
        """Return the larger of the two in each respect."""
        return Cost(*map(max, self.amounts, other.amounts))  # type: ignore[arg-type]

    def at_most(self, other: "Cost") -> "Cost":
        """Return the smaller of the two in each respect."""
        return Cost(*map(min, self.amounts, other.amounts))  # type: ignore[arg-type]

    def covers(self, other: "Cost") -> bool:
        """Return whether it is at least the other in each respect."""
        return all(
            mine + _CLOSE >= its for mine, its in zip(self.amounts, other.amounts, strict=True)
        )

    @classmethod
    def of_all(cls, costs: Iterable["Cost"]) -> "Cost":
        """Return the sum of all costs."""
        return sum(costs, cls())


NOTHING = Cost()


@dataclass(frozen=True)
class Limits:
    """Limits of spending, with the names of Cost; None: without limit."""

    target_calls: int | None = None
    optimizer_calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    grader_calls: int | None = None

    @property
    def bounded(self) -> bool:
        """Return whether there is any limit."""
        return any(limit is not None for limit in asdict(self).values())

    def left_by(self, cost: Cost, share: float = 1.0) -> Cost:
        """Return that share of what the cost leaves of these limits.

        Calls and tokens are whole ones; an amount without a limit is 0.
        """
        left = [
            0.0 if limit is None else max(0.0, limit - used) * share
            for limit, used in zip(asdict(self).values(), cost.amounts, strict=True)
        ]
        return Cost(int(left[0]), int(left[1]), int(left[2]), left[3], int(left[4]))

    def passed_by(self, cost: Cost) -> str | None:
        """Return the name of the first of these limits that the cost exceeds."""
        for name in (field.name for field in fields(Cost)):
            limit = getattr(self, name)
            if limit is not None and getattr(cost, name) > limit + _CLOSE:
                return name
        return None


CALL_LIMITS = ("target_calls", "optimizer_calls", "grader_calls")


@dataclass(frozen=True)
class PriceList:
    """The costs of a call of one model; prices are of one token."""

    role: Role = "target"
    prompt_price: float = 0.0
    completion_price: float = 0.0
    max_tokens: int | None = None
    """Replaces the request's own limit, where the model's settings do."""

    def at_most(self, request: Request) -> Cost:
        """Return the most that a request can cost.

        No tokenizer makes more tokens of a text than it has bytes.
        """
        read = (
            # An upper bound without a tokenizer: no token is shorter than one byte.
            sum(text_bytes(message.content) + MESSAGE_TOKENS for message in request.messages)
            + TEMPLATE_TOKENS
        )
        return self._cost(read, self.max_tokens or request.sampling.max_tokens)

    def of(self, outcome: Outcome, request: Request) -> Cost:
        """Return the cost of an outcome.

        A cached answer costs what it cost when it was paid for: so a repeated run takes the same
        course. Tokens without a known number cost the most that they can.
        """
        return self.recalled(outcome, self.at_most(request))

    def recalled(self, answer: Outcome, most: Cost) -> Cost:
        """Return the cost of an answer whose request is not known any more.

        `most` is the most that it can cost.
        """
        if answer.prompt_tokens is None or answer.completion_tokens is None:
            return most
        return self._cost(answer.prompt_tokens, answer.completion_tokens)

    def _cost(self, read: int, written: int) -> Cost:
        calls = {f"{self.role}_calls": 1}
        return Cost(
            **calls,
            tokens=read + written,
            money=read * self.prompt_price + written * self.completion_price,
        )


def is_test(requests: Iterable[Request]) -> bool:
    """Return whether these are calls of a final test."""
    return all(request.purpose in TESTING for request in requests)


def text_bytes(text: str) -> int:
    """Return the length of a text in UTF-8, unpaired surrogates included."""
    return len(text.encode("utf-8", "surrogatepass"))
