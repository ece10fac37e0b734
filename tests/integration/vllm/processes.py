"""Looking at processes that may end in the same moment."""

import psutil


def environment(process: psutil.Process) -> dict[str, str]:
    """Empty for one that is no more, or not ours to look at."""
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}
