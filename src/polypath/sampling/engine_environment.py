"""The environment in which an engine of this process alone starts, though a launcher started several."""

import contextlib
import os
from collections.abc import Iterator, Mapping

from polypath.errors import ConfigError
from polypath.sampling.ranks import Ranks

# A launcher's variables. torch.distributed, which every engine starts for itself, would take the
# engines of all ranks for one group and wait for ever.
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAUNCHER_PREFIXES = ("GROUP_", "ROLE_", "TORCHELASTIC_")


def own_environment(
    tensor_parallel_size: int, ranks: Ranks, environ: Mapping[str, str], *, gpus: bool = True
) -> dict[str, str]:
    """Return the environment in which one engine of several starts: its GPUs, and no launcher.

    Args:
        tensor_parallel_size: GPUs of one engine.
        ranks: which of them are this process's.
        environ: of this process.
        gpus: whether the engine runs on any.

    Raises:
        ConfigError: this machine has too few GPUs for its processes.
    """
    own = {
        name: value
        for name, value in environ.items()
        if name not in _LAUNCHER and not name.startswith(_LAUNCHER_PREFIXES)
    }
    if ranks.local_rank is None or not gpus:
        return own
    size = tensor_parallel_size
    devices = _visible_devices(environ)
    if len(devices) != size:  # a scheduler may show each process its own GPUs only
        first = ranks.local_rank * size
        chosen = devices[first : first + size]
        if len(chosen) < size:
            raise ConfigError(
                f"Process {ranks.local_rank} of this machine, with tensor parallelism over {size}, "
                f"needs GPUs {first} to {first + size - 1}, but {len(devices)} are visible. Start "
                "fewer processes, or lower --tensor-parallel."
            )
        devices = chosen
    own["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    return own


def _visible_devices(environ: Mapping[str, str]) -> list[str]:
    told = environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name.strip() for name in told.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


@contextlib.contextmanager
def exact_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have exactly this environment for a while."""
    before = dict(os.environ)
    _set_environment(values)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str]) -> None:
    for name in os.environ.keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)
