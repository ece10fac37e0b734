"""Checks of settings' values; independent of any settings class."""

from optimizer.errors import SettingsError


def at_least(least: int, **values: float) -> None:
    """Check that no value is below `least`; the keywords are the settings' names.

    Raises:
        SettingsError: For the first value that is below.
    """
    for name, value in values.items():
        if value < least:
            raise SettingsError(f"The setting {name} is {value}, and must be at least {least}.")


def at_most(most: int, **values: float) -> None:
    """Check that no value is above `most`; the keywords are the settings' names.

    Raises:
        SettingsError: For the first value that is above.
    """
    for name, value in values.items():
        if value > most:
            raise SettingsError(f"The setting {name} is {value}, and must be at most {most}.")


def one_of(known: tuple[str, ...], **values: str) -> None:
    """Check that every value is one of `known`; the keywords are the settings' names.

    Raises:
        SettingsError: For the first value that is not.
    """
    for name, value in values.items():
        if value not in known:
            raise SettingsError(
                f"The setting {name} is {value!r}, and must be one of: {', '.join(known)}."
            )
