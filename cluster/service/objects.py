"""The name that `cluster.service.schemas` had in earlier versions, for programs that import it."""

from cluster.service.schemas import *  # noqa: F403
