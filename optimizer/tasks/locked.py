"""The test split under lock: what is needed to plan with it is open, its examples are not.

Knows no model and no search.

A `LockedSplit` can be counted, compared, pickled and printed. Its examples come out of a
`SingleReading` alone, and out of that one once: a trial takes one reading when it begins, and reads
it when its search is over. Until then the examples are sealed bytes, so that no walk over the
objects of a process finds them. This guards against mistakes, not against malice: code that runs in
the same process and means to break the seal can.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.budget.cost import text_bytes
from optimizer.types import Example


class ReadTwice(RuntimeError):
    """A test split was read again by one trial: a fault in the program, and no result that may be
    reported.
    """


@dataclass(frozen=True)
class LockedSplit:
    """Examples under seal. Make one with `lock`."""

    items: int
    _sealed: bytes = field(repr=False)
    longest_input_bytes: int = field(default=0, repr=False)
    """For what a test can cost at most."""

    @classmethod
    def lock(cls, examples: Sequence[Example]) -> "LockedSplit":
        rows = [
            [example.id, example.input, example.answers, example.choices] for example in examples
        ]
        longest = max((text_bytes(example.input) for example in examples), default=0)
        return cls(len(examples), zlib.compress(json.dumps(rows).encode()), longest)

    def __len__(self) -> int:
        return self.items

    def single_reading(self) -> "SingleReading":
        """The right to read these examples once: for whoever runs the final test, and for nobody
        else.
        """
        return SingleReading(self)


class SingleReading:
    """The right to read a locked split once.

    It cannot be pickled: a copy would be a second reading.
    """

    def __init__(self, split: LockedSplit) -> None:
        self._split: LockedSplit | None = split
        self.items = len(split)
        self.longest_input_bytes = split.longest_input_bytes

    def read(self) -> tuple[Example, ...]:
        """The examples, in the split's order. Raises ReadTwice from the second time on."""
        if self._split is None:
            raise ReadTwice(
                "The test split was read a second time; it may only serve the one final test of a "
                "trial."
            )
        split, self._split = self._split, None
        rows = json.loads(zlib.decompress(split._sealed))
        return tuple(
            Example(id, input, tuple(answers), tuple(choices))
            for id, input, answers, choices in rows
        )

    def __reduce__(self) -> str:
        raise TypeError(
            "A single reading of the test split cannot be pickled: a copy would be a second "
            "reading."
        )
