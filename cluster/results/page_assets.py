"""What a page needs to work offline: scripts and styles as text, the hashes that its security
policy names, and settings as YAML.

Knows no page.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml


def asset(package: str, path: str) -> str:
    """A text file of a package, with the line ends that a browser hashes."""
    return (
        files(package)
        .joinpath(path)
        .read_text(encoding="utf-8")
        .replace("\r\n", "\n")
        .replace("</script", "<\\/script")
    )


def script_hash(script: str) -> str:
    """As a page's security policy names a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def shown_yaml(settings: Mapping[str, Any]) -> str:
    """Settings for people."""
    return yaml.safe_dump(
        json.loads(json.dumps(settings, default=str)), sort_keys=False, allow_unicode=True
    )
