"""Open an executor. Ray is imported only if a cluster was named."""

import contextlib
from collections.abc import Callable, Iterator

from polypath.errors import needs_extra
from polypath.executor.cluster import RayCluster
from polypath.executor.local import LocalExecutor
from polypath.executor.protocol import Executor, WorkerSettings


@contextlib.contextmanager
def open_executor(
    cluster: RayCluster | None,
    settings: WorkerSettings,
    *,
    workers: int = 1,
    say: Callable[[str], None] | None = None,
) -> Iterator[Executor]:
    """Open an executor and end its workers afterwards, at once after an error or Ctrl-C.

    Args:
        cluster: ``None`` for processes on this machine.
        settings: for every worker.
        workers: number on this machine; ``cluster`` sets its own.
        say: called with one line on which cluster is used and what is lost on it.

    Raises:
        ConfigError: the cluster cannot be reached or has no room for a worker.
        MissingExtraError: a cluster is named but Ray is not installed.
    """
    executor: Executor
    with contextlib.ExitStack() as stack:
        if cluster is None:
            executor = LocalExecutor(settings, workers)
        else:
            with needs_extra(f"{cluster.named_by} {cluster.address}", "ray"):
                from polypath.executor.ray import RayExecutor, connected
            stack.enter_context(connected(cluster))
            executor = RayExecutor(cluster, settings, say or (lambda _: None))
        try:
            yield executor
        except BaseException:
            executor.close(kill=True)
            raise
        executor.close()
