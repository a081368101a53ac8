"""verl on CPU cores: a platform plug-in, for tests and for trying things without a GPU.

``VERL_PLATFORM=cpu VERL_ENGINE_DEVICE=cuda VERL_USE_EXTERNAL_MODULES=cpu_platform,...``. Weights go
through shared memory, processes talk over gloo, and Ray hands out logical GPUs.
"""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from verl.plugin.platform import PlatformBase, PlatformRegistry
from verl.workers.rollout import base as rollout_base
from verl.workers.rollout.replica import RolloutReplicaRegistry

_NOTHING = ("empty_cache", "synchronize", "set_device", "ipc_collect", "reset_peak_memory_stats")
_SEEDS = ("manual_seed", "manual_seed_all", "set_per_process_memory_fraction")
_MEMORY = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")


class _CPUModule(types.ModuleType):
    """What verl asks of ``torch.cuda``, answered for a CPU."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(torch.cpu, name):
            raise AttributeError(f"torch.cuda.{name} has no counterpart on a CPU")
        return getattr(torch.cpu, name)


cpu: Any = _CPUModule("torch.cpu_for_verl")
for _name in (*_NOTHING, *_SEEDS):
    setattr(cpu, _name, lambda *args, **named: None)
for _name in _MEMORY:
    setattr(cpu, _name, lambda *args, **named: 0)
cpu.is_available = lambda: False  # there is no memory of an accelerator to watch
cpu.mem_get_info = lambda *args: (1 << 30, 1 << 30)
cpu.get_device_name = lambda *args: "CPU"
cpu.get_rng_state = torch.get_rng_state
cpu.set_rng_state = torch.set_rng_state
cpu.device_count = lambda: 1


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """A platform without an accelerator."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = cpu

    def is_available(self) -> bool:
        return True

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int = 0) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        return "GPU"  # logical ones: ray.init(num_gpus=2)

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None


_init_process_group = torch.distributed.init_process_group


def _init_with_gloo(backend: str | None = None, **named: Any) -> Any:
    # verl asks for the backend "cpu:gloo,cpu:gloo", in which torch sees one device twice.
    return _init_process_group(
        backend="gloo" if backend == "cpu:gloo,cpu:gloo" else backend, **named
    )


torch.distributed.init_process_group = _init_with_gloo


def _cpu_replica() -> type:
    from cpu_rollout import CPUReplica

    return CPUReplica


RolloutReplicaRegistry.register("hf", _cpu_replica)
rollout_base._ROLLOUT_REGISTRY[("hf", "async")] = "cpu_rollout.CPUAdapter"
