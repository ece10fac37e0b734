"""All faults of what a person has given, told together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from optimizer.errors import SettingsError, UserError


class Faults(SettingsError):
    """Several faults at once; each is one sentence."""

    def __init__(self, sentences: Sequence[str]) -> None:
        numbered = (f"({number}) {text}" for number, text in enumerate(sentences, 1))
        super().__init__(f"{len(sentences)} things must be mended: {' '.join(numbered)}")
        self.sentences = tuple(sentences)

    def __reduce__(self) -> tuple[type["Faults"], tuple[tuple[str, ...]]]:
        return type(self), (self.sentences,)


class FaultCollector:
    """Collects faults of parts that can be checked one by one."""

    def __init__(self) -> None:
        self._found: list[UserError] = []

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._found)

    def add(self, sentence: str) -> None:
        """Add a fault."""
        self._found.append(SettingsError(sentence))

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Run a block, and add the fault that ends it."""
        try:
            yield
        except UserError as fault:
            self._found.append(fault)

    def expect_none(self) -> None:
        """Raise what was found: a single fault as it is.

        Raises:
            UserError: There are faults.
        """
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            sentences = [
                text for fault in self._found for text in getattr(fault, "sentences", (str(fault),))
            ]
            raise Faults(list(dict.fromkeys(sentences)))
