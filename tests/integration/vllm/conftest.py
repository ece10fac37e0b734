"""These tests need vLLM, or its CPU build, in an environment of its own: `make test-vllm`.

Elsewhere they are not collected.
"""

import os
from importlib.util import find_spec

import pytest

HAS_VLLM = find_spec("vllm") is not None
collect_ignore_glob = [] if HAS_VLLM else ["test_*.py"]
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the follower's client is imported


def pytest_report_header() -> str:
    return (
        "vllm: found"
        if HAS_VLLM
        else "vllm: not installed, so tests/integration/vllm are left out (make test-vllm runs "
        "them)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors elsewhere; vLLM and torch give many of their own, even at the end, none
    of which we could mend.
    """
    if HAS_VLLM:
        config.addinivalue_line("filterwarnings", "ignore")
