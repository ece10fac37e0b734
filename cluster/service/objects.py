"""An alias of `cluster.service.schemas` under its former name, for programs that import it."""

from cluster.service.schemas import *  # noqa: F403
