"""Where work runs: on this machine, or on a Ray cluster named by the user."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from polypath.errors import ConfigError

OFF = "off"
VARIABLE = "RAY_ADDRESS"


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """A cluster to use.

    Attributes:
        address: ``auto`` for the one running on this machine, or HOST:PORT of its head.
        named_by: the option or variable that named it.
        workers: most workers; ``None`` for as many as fit.
    """

    address: str
    named_by: str = "--ray"
    workers: int | None = None


def find_cluster(
    option: str | None, workers: int | None = None, environ: Mapping[str, str] | None = None
) -> RayCluster | None:
    """Return the cluster named by ``--ray``, else by ``RAY_ADDRESS``; ``None`` for this machine.

    Args:
        option: value of ``--ray``: an address, ``off`` for this machine whatever the environment
            says, or ``None``.
        workers: most workers.
        environ: the environment.

    Raises:
        ConfigError: the address cannot be used, or ``workers`` is below 1.

    >>> find_cluster(None, environ={}) is None
    True
    >>> find_cluster("auto", environ={"RAY_ADDRESS": "10.0.0.1:6379"}).address
    'auto'
    """
    environ = os.environ if environ is None else environ
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}.")
    named_by = VARIABLE if option is None else "--ray"
    address = environ.get(VARIABLE, "").strip() if option is None else option
    if address == OFF or (option is None and not address):
        return None
    host, colon, port = address.rpartition(":")
    if address != "auto" and not (host and colon and port.isdecimal() and "/" not in address):
        raise ConfigError(
            f"{named_by} {address!r} is no address of a Ray cluster: expected auto or HOST:PORT, such as "
            "10.0.0.1:6379 (no ray:// or http://), or off to work on this machine."
        )
    return RayCluster(address=address, named_by=named_by, workers=workers)
