"""Check that a port is free before anything is started.

What takes a port later reports it late, and at length.
"""

import errno
import socket

from optimizer.errors import SettingsError


def expect_free(host: str, port: int) -> None:
    """Return if a program of this machine may listen there.

    Raises:
        SettingsError: The port is taken, or the host or port cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trying:
            # As servers do: a port that was just released is free.
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(address)
    except OSError as problem:
        raise SettingsError(_sentence(host, port, problem)) from None


def _sentence(host: str, port: int, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"The port {port} of {host} is taken by another program; choose another with --port."
    if problem.errno in (errno.EACCES, errno.EPERM):
        return f"The port {port} is not free to this user; choose one above 1023 with --port."
    return (
        f"{host} is no address that this machine could listen on ({problem.strerror or problem}); "
        "name another with --host."
    )
