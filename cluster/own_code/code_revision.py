"""Revisions of code that does not come with promptray."""

import hashlib
import json
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from cluster.own_code.code_files import code_in_use, is_from_code
from serving.runtime.session_functions import MODULE, revision_of_functions


def revision_of(module: str) -> str:
    """Return the revision of an imported module's code, to detect a changed one.

    That is the digest of the code that the settings list, the version of an installed package, or
    the digest of a package's sources where it has no version or is installed as editable.
    """
    if module == MODULE:
        return revision_of_functions()
    if is_from_code(module):
        return code_in_use().digest
    top = module.partition(".")[0]
    return _installed_version(top) or _digest_of_sources(top)


@cache
def _installed_version(top: str) -> str:
    """Return name and version of a package's distribution.

    "" where there is none, or where its sources may change under its version.
    """
    for name in packages_distributions().get(top, ()):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        if not origin.get("dir_info", {}).get("editable"):
            return f"{name} {found.version}"
    return ""


def _digest_of_sources(top: str) -> str:
    module, digest = sys.modules[top], hashlib.sha256()
    folders = [Path(place) for place in getattr(module, "__path__", ())]
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    for file in files or [Path(module.__file__ or "")]:
        if file.is_file():
            digest.update(file.name.encode("utf-8", "surrogateescape") + b"\n")
            digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()[:16]}"
