"""The locked test split: its size is open, its examples are not.

A `LockedSplit` can be counted, compared, pickled and printed. Its examples are read through a
`SingleReading` alone, and once: a trial takes one reading when it begins, and reads it when its
search is over. Until then the examples are sealed bytes, so that no walk over the objects of a
process finds them. This guards against mistakes, not against malice: code that runs in the same
process can break the seal on purpose. Knows no model and no search.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.budget.cost import MESSAGE_TOKENS, text_bytes
from optimizer.types import Example, Message


class ReadTwice(RuntimeError):
    """One trial read its test split twice: a bug, whose result must not be reported."""


@dataclass(frozen=True)
class LockedSplit:
    """Sealed examples; make one with `lock`."""

    items: int
    _sealed: bytes = field(repr=False)
    longest_input_bytes: int = field(default=0, repr=False)
    """Size of the longest input, with the turns before it, for the maximum cost of a test."""
    longest_example_bytes: int = field(default=0, repr=False)
    """Size of the longest example, with its targets and its whole row, for that of its grading."""

    @classmethod
    def lock(cls, examples: Sequence[Example]) -> "LockedSplit":
        """Seal the examples."""
        rows = [
            [
                example.id,
                example.input,
                example.answers,
                example.choices,
                [[turn.role, turn.content] for turn in example.history],
                dict(example.fields),
            ]
            for example in examples
        ]
        longest = max(map(_input_bytes, examples), default=0)
        whole = max(map(example_bytes, examples), default=0)
        return cls(len(examples), zlib.compress(json.dumps(rows).encode()), longest, whole)

    def __len__(self) -> int:
        return self.items

    def single_reading(self) -> "SingleReading":
        """Return the right to read these examples once, for the final test only."""
        return SingleReading(self)


class SingleReading:
    """The right to read a locked split once.

    It cannot be pickled: a copy would be a second reading.
    """

    def __init__(self, split: LockedSplit) -> None:
        self._split: LockedSplit | None = split
        self.items = len(split)
        self.longest_input_bytes = split.longest_input_bytes
        self.longest_example_bytes = split.longest_example_bytes

    def read(self) -> tuple[Example, ...]:
        """Return the examples, in the split's order.

        Raises:
            ReadTwice: From the second call on.
        """
        if self._split is None:
            raise ReadTwice(
                "The test split was read a second time; it may only serve the one final test of a "
                "trial."
            )
        # Given up before the examples are read: an error on the way must not allow a second
        # reading.
        split, self._split = self._split, None
        rows = json.loads(zlib.decompress(split._sealed))
        return tuple(
            Example(
                id,
                input,
                tuple(answers),
                tuple(choices),
                tuple(Message(role, content) for role, content in history),
                fields,
            )
            for id, input, answers, choices, history, fields in rows
        )

    def __reduce__(self) -> str:
        raise TypeError(
            "A single reading of the test split cannot be pickled: a copy would be a second "
            "reading."
        )


def example_bytes(example: Example) -> int:
    """Return the size of an example, with its targets and its whole row."""
    row = json.dumps([example.id, example.answers, example.fields], ensure_ascii=False)
    return _input_bytes(example) + text_bytes(row)


def _input_bytes(example: Example) -> int:
    # Each turn has tokens of its own beside those of its text.
    turns = sum(text_bytes(turn.content) + MESSAGE_TOKENS for turn in example.history)
    return text_bytes(example.input) + turns
