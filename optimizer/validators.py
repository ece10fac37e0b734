"""Checks of settings. Knows nobody's settings."""

from optimizer.errors import SettingsError


def at_least(least: int, **values: float) -> None:
    """Raises SettingsError for the first value that is below `least`; the keywords are the
    settings' names.
    """
    for name, value in values.items():
        if value < least:
            raise SettingsError(f"The setting {name} is {value}, and must be at least {least}.")


def at_most(most: int, **values: float) -> None:
    """Raises SettingsError for the first value that is above `most`."""
    for name, value in values.items():
        if value > most:
            raise SettingsError(f"The setting {name} is {value}, and must be at most {most}.")


def one_of(known: tuple[str, ...], **values: str) -> None:
    """Raises SettingsError for the first value that is none of `known`."""
    for name, value in values.items():
        if value not in known:
            raise SettingsError(
                f"The setting {name} is {value!r}, and must be one of: {', '.join(known)}."
            )
