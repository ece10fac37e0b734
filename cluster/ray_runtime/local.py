"""Restrict a Ray that we start to this machine and its user: loopback only, with Ray's token.

Ray runs any code that it is sent, and opens some twenty ports. It binds them to every interface,
and an environment variable switches its token off; both are right for a cluster that an operator
looks after, and wrong for a laptop.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ray._private import ray_constants
from ray._private.authentication.authentication_token_generator import (
    generate_new_authentication_token,
)

from optimizer.errors import SettingsError

AUTH_MODE = "RAY_AUTH_MODE"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
TOKEN = "RAY_AUTH_TOKEN"
LOOPBACK = "127.0.0.1"


def require_token() -> None:
    """Put Ray in token mode, with a token that only this user can read.

    Ray turns the mode on by itself for a Ray that it starts, but not where the variable is set to
    any other value; and it writes a token that every user of the machine may read.

    Raises:
        SettingsError: The environment switches the token off.
    """
    mode = os.environ.get(AUTH_MODE, "")
    if mode and mode.lower() != "token":
        raise SettingsError(
            f"{AUTH_MODE}={mode} would let every program that reaches this machine run code in the "
            "Ray that promptray starts: "
            "unset it (a token is made for you), or name a cluster of yours with RAY_ADDRESS."
        )
    if not mode:
        # To Ray an empty variable is not an unset one: it would start without a token.
        os.environ.pop(AUTH_MODE, None)
    if not os.environ.get(TOKEN) and not os.environ.get(TOKEN_PATH):
        try:
            _ensure_private(Path.home() / ".ray" / "auth_token")  # where Ray looks for it
        except OSError:
            # The home folder cannot be written to: a temporary one of this process.
            own = Path(tempfile.mkdtemp(prefix="promptray-token-")) / "auth_token"
            _ensure_private(own)
            os.environ[TOKEN_PATH] = str(own)


@contextmanager
def bound_to_loopback() -> Iterator[str]:
    """Yield the address for `ray.init(_node_ip_address=...)` that binds every port to loopback.

    It holds for a Ray that is started in the block. Ray does the same by itself on macOS and
    Windows; on Linux it takes the address of an interface in place of 127.0.0.1, as other nodes
    might want to join. The switch between the two has no argument.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield LOOPBACK
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _ensure_private(file: Path) -> None:
    """Create the file where there is none, and make it readable by its owner alone."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(dir=file.parent, prefix=".auth_token.")  # 0600
        with os.fdopen(handle, "w") as opened:
            opened.write(generate_new_authentication_token())
        try:
            with suppress(FileExistsError):
                os.link(written, file)  # of two that start at the same moment one makes it
        finally:
            os.unlink(written)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
