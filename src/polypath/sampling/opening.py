"""Open what draws samples, in this process or in the workers of a cluster."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypath.errors import ConfigError
from polypath.executor.cluster import RayCluster
from polypath.sampling.backends import Backend, open_backend
from polypath.sampling.ranks import Ranks
from polypath.sampling.settings import ServerSettings
from polypath.tasks.base import Task

if TYPE_CHECKING:
    from polypath.sampling.remote import RemoteModel


def open_drawer(
    model: str | Path | ServerSettings,
    task: Task,
    ranks: Ranks,
    cluster: RayCluster | None,
    **options: Any,
) -> "contextlib.AbstractContextManager[Backend | RemoteModel]":
    """Open what draws.

    Args:
        model: a folder or hub name, or a server.
        task: whose completions are verified.
        ranks: which process of several this is.
        cluster: whose workers draw and verify; ``None`` for this process.
        options: of ``open_backend`` and ``open_remote``.

    Raises:
        ConfigError: a cluster is asked for with a server, or with several processes.
    """
    if cluster is None:
        return open_backend(model, ranks=ranks, **options)
    if isinstance(model, ServerSettings):
        raise ConfigError("A server draws by itself: leave out the Ray cluster, or the server.")
    if not ranks.part.is_whole:
        raise ConfigError("A Ray cluster shares the work by itself: start one process.")
    from polypath.sampling.remote import open_remote  # needs what loads models

    return open_remote(cluster, model, task, **options)
