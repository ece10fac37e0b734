"""How many examples Hypothesis tries where a test names a number of its own."""

from hypothesis import settings

QUICK = "quick"
"""The profile of `make test-fast`."""
SHARE = 6
LEAST = 5


def examples(count: int) -> int:
    """Return `count`, or a sixth of it in `make test-fast`: `make test` tries all."""
    quick = settings.get_current_profile_name() == QUICK
    return max(LEAST, count // SHARE) if quick else count
