"""How many examples each split gets: counts, shares, or as many as fit."""

from dataclasses import dataclass

from optimizer.errors import DataError, SettingsError

SPLITS = ("train", "dev", "test")
TRAIN_SHARE = 0.3
"""Share of the examples that the train split gets, and the dev split as well, where there are too
few for the usual sizes; the rest is the test split's [ours].
"""
FEWEST = 10
"""Number of examples below which no sizes are chosen for the user [ours]: splits of 3, 3 and 4 show
next to nothing.
"""


@dataclass(frozen=True)
class Sizes:
    """Number of examples of each split [ours].

    Raises:
        SettingsError: For a split without examples.
    """

    train: int = 50
    dev: int = 50
    test: int = 100

    def __post_init__(self) -> None:
        for split in SPLITS:
            if getattr(self, split) < 1:
                raise SettingsError(
                    f"The {split} split needs at least 1 example, not {getattr(self, split)}; "
                    f"raise sizes.{split}."
                )

    @property
    def total(self) -> int:
        """Return the number of examples of all splits."""
        return self.train + self.dev + self.test

    @property
    def stratified(self) -> bool:
        """Return whether each split gets its share of every class."""
        return False

    def fitted(self, examples: int) -> "Sizes":
        """Return the sizes for a source of so many distinct examples.

        Raises:
            DataError: They are too few; the message continues a sentence that begins with the
                source, and names sizes that fit.
        """
        if examples >= self.total:
            return self
        fitting = as_fits(examples)
        raise DataError(
            f"has {examples} distinct examples, but train {self.train} + dev {self.dev} + test "
            f"{self.test} need {self.total}: "
            + (
                f"use sizes auto or {fitting.train},{fitting.dev},{fitting.test}"
                if examples >= FEWEST
                else "make the splits smaller or give more examples"
            )
        )


@dataclass(frozen=True)
class AutoSizes(Sizes):
    """The usual sizes where there are examples enough, and smaller ones where there are not.

    Code that knows `Sizes` alone takes it for the usual ones.
    """

    @property
    def stratified(self) -> bool:
        """See Sizes."""
        return True

    def fitted(self, examples: int) -> Sizes:
        """See Sizes."""
        if examples >= self.total:
            return Sizes(self.train, self.dev, self.test)
        if examples < FEWEST:
            raise DataError(
                f"has {examples} distinct examples, but sizes auto needs {FEWEST}: give more "
                "examples, or name the sizes, such as 1,1,2"
            )
        return as_fits(examples)


@dataclass(frozen=True)
class Shares:
    """Shares of the examples, each above 0.0 and below 1.0.

    Raises:
        SettingsError: A share is out of range, or they are more than the whole.
    """

    train: float
    dev: float
    test: float

    def __post_init__(self) -> None:
        parts = [getattr(self, split) for split in SPLITS]
        if not all(0.0 < part < 1.0 for part in parts) or sum(parts) > 1.0 + 1e-9:
            raise SettingsError(
                "The shares of the splits must be above 0 and at most 1 together, such as "
                "0.3,0.3,0.4."
            )

    @property
    def stratified(self) -> bool:
        """See Sizes."""
        return True

    def fitted(self, examples: int) -> Sizes:
        """See Sizes."""
        # The small part more than nothing keeps 0.3 * 10 from being 2.9999999999999996.
        train, dev, test = (int(getattr(self, split) * examples + 1e-9) for split in SPLITS)
        if min(train, dev, test) < 1:
            raise DataError(
                f"has {examples} distinct examples, of which the shares {self.train:g},"
                f"{self.dev:g},{self.test:g} leave a split empty: give more examples, or larger "
                "shares"
            )
        return Sizes(train, dev, test)


SizeRule = Sizes | Shares


def as_fits(examples: int) -> Sizes:
    """Return the sizes that use up to 200 examples as well as may be."""
    usual = Sizes()
    if examples >= usual.total:
        return usual
    part = max(1, min(usual.train, int(TRAIN_SHARE * examples + 1e-9)))
    return Sizes(part, part, max(1, examples - 2 * part))
