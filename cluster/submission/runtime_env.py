"""A job's Ray runtime environment: what a cluster's machines lack, such as packages to install.

Everybody who sees the dashboard can read it, so it must hold no keys.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optimizer.errors import SettingsError
from serving.settings.validation import read_mapping

_SECRET = re.compile(r"(^|_)(key|secret|token|password|credentials?)(_|$)", re.IGNORECASE)
_OURS = ("working_dir", "py_modules")


def read_runtime_env(file: Path | str | None) -> dict[str, Any]:
    """Return the mapping in a YAML file, as Ray documents it; empty without a file.

    Raises:
        SettingsError: The file cannot be read, sets what promptray sets itself, or holds a secret.
    """
    given = read_mapping(file) if file else {}
    for name in _OURS:
        if name in given:
            raise SettingsError(f"{file} sets {name}, which promptray makes itself; take it out.")
    variables = given.get("env_vars") or {}
    if not isinstance(variables, Mapping) or not all(
        isinstance(value, str) for value in variables.values()
    ):
        raise SettingsError(
            f"The env_vars in {file} must be a mapping of texts; put numbers in quotes."
        )
    for name in variables:
        if _SECRET.search(str(name)):
            raise SettingsError(
                f"{file} sets the variable {name}, which every user of the cluster could read; set "
                "it in the cluster's own "
                "environment, or mount it there as a file."
            )
    return given


def with_variables(runtime_env: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the environment with these variables added, where it does not set them itself."""
    return {**runtime_env, "env_vars": {**variables, **(runtime_env.get("env_vars") or {})}}
