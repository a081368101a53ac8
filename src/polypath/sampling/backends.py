"""Opens what draws samples: a model in this process, vLLM, or a server."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from polypath.errors import ConfigError
from polypath.rollouts import RolloutManifest
from polypath.sampling.collect import Draw, DrawRows, draw_verified
from polypath.sampling.completion import Completion
from polypath.sampling.plan import PlannedSample
from polypath.sampling.ranks import ALONE, Ranks
from polypath.sampling.settings import SamplingSettings, ServerSettings, VllmSettings
from polypath.tasks.base import Task

DrawBatch = Callable[[list[PlannedSample], SamplingSettings], list[Completion]]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What draws samples.

    Attributes:
        draw: the backend's ``sample``, with its model.
        draw_batch: function that draws one planned batch; ``None`` for a server, which plans by itself.
        context: maximum tokens of a prompt and its completion, if the backend tells.
        manifest: what it draws from; how it draws is left open.
        model: the model if it is in this process, else ``None``.
        tokenizer: tokenizer of the model; ``None`` for a server.
    """

    draw: Draw
    draw_batch: DrawBatch | None = None
    context: int | None = None
    manifest: RolloutManifest
    model: Any = None
    tokenizer: Any = None

    def rows(self, task: Task) -> DrawRows:
        """Return what draws and verifies in this process."""
        return partial(draw_verified, self.draw, task.verify_batch)


@contextlib.contextmanager
def open_backend(
    model: str | Path | ServerSettings,
    *,
    device: str | None = None,
    precision: str = "auto",
    engine: VllmSettings | None = None,
    ranks: Ranks = ALONE,
    console: Console | None = None,
    trust_remote_code: bool = False,
) -> Iterator[Backend]:
    """Open a backend, and close it at the end.

    Args:
        model: a folder or hub name; or a server.
        device: ``"cpu"`` or ``"cuda"``; by default this process's GPU, if there is one.
        precision: as in ``PresampleSettings``. vLLM has no autocast: ``bf16-mixed`` is bfloat16.
        engine: engine to sample with vLLM.
        ranks: which of several processes this is.
        console: where a server's peculiarities are reported.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        DataError: a file of the model is damaged.
        ConfigError: ``engine`` for a server, or for a device that this vLLM was not built for.
        MissingFileError: the model does not exist.
        MissingExtraError: vLLM is requested and not installed.
    """
    if isinstance(model, ServerSettings):
        if engine is not None:
            raise ConfigError(
                "vLLM's settings and a server exclude each other. Leave one of them out."
            )
        yield _server(model, console)
    elif engine is not None:
        with _vllm(model, engine, device, precision, ranks, trust_remote_code) as backend:
            yield backend
    else:
        with _transformers(model, device, precision, ranks, trust_remote_code) as backend:
            yield backend


def _server(server: ServerSettings, console: Console | None) -> Backend:
    from polypath.sampling.openai import sample

    say = None
    if console is not None:
        say = partial(console.out, highlight=False)
    # A server shows neither its weights nor its template. Known are only its name for the model, and
    # whether plain prompts are wrapped into a chat.
    template = "chat" if server.chat else None
    return Backend(
        draw=partial(sample, server, say=say),
        manifest=RolloutManifest(
            model=server.model, template_fingerprint=template, backend="server"
        ),
    )


@contextlib.contextmanager
def _transformers(
    model: str | Path, device: str | None, precision: str, ranks: Ranks, trusted: bool
) -> Iterator[Backend]:
    from polypath.sampling import loading
    from polypath.sampling.model_files import model_blamed
    from polypath.sampling.transformers import context_of, draw_batch, sample
    from polypath.tasks.shipped import shipped_model

    where = loading.resolve_device(device, ranks.local_rank)
    precision = loading.resolve_precision(precision, where)
    dtype = loading.PRECISIONS[precision][0]
    loaded, tokenizer = loading.load_model(
        model, dtype=dtype, device=where, trust_remote_code=trusted
    )
    manifest = _identity(model, loaded, tokenizer, "transformers")
    with model_blamed(shipped_model(str(model))), loading.autocast(precision, where):
        yield Backend(
            draw=partial(sample, loaded, tokenizer),
            draw_batch=partial(draw_batch, loaded, tokenizer),
            context=context_of(loaded),
            manifest=manifest,
            model=loaded,
            tokenizer=tokenizer,
        )


@contextlib.contextmanager
def _vllm(
    model: str | Path,
    settings: VllmSettings,
    device: str | None,
    precision: str,
    ranks: Ranks,
    trusted: bool,
) -> Iterator[Backend]:
    import torch

    from polypath.sampling.loading import load_model
    from polypath.sampling.transformers import end_token_ids
    from polypath.sampling.vllm import draw_batch, open_engine, require_device, sample
    from polypath.tasks.shipped import shipped_model

    require_device(device)
    # The weights are read once for the fingerprint, which uses them as bfloat16, and then released.
    loaded, tokenizer = load_model(
        model, dtype=torch.bfloat16, device=torch.device("cpu"), trust_remote_code=trusted
    )
    manifest = _identity(model, loaded, tokenizer, "vllm")
    end_ids = end_token_ids(loaded, tokenizer)
    del loaded
    if settings.dtype == "auto" and precision != "auto":
        dtype = "float32" if precision == "float32" else "bfloat16"
        settings = replace(settings, dtype=dtype)
    folder = shipped_model(str(model))
    with open_engine(
        folder, settings, end_ids=end_ids, ranks=ranks, trust_remote_code=trusted
    ) as engine:
        yield Backend(
            draw=partial(sample, engine, tokenizer),
            draw_batch=partial(draw_batch, engine, tokenizer),
            context=engine.context,
            manifest=manifest,
            tokenizer=tokenizer,
        )


def _identity(model: str | Path, loaded: Any, tokenizer: Any, backend: str) -> RolloutManifest:
    from polypath.sampling import fingerprint
    from polypath.tasks.shipped import shipped_model

    return RolloutManifest(
        model=str(model),
        model_fingerprint=fingerprint.model_fingerprint(loaded),
        tokenizer_fingerprint=fingerprint.tokenizer_fingerprint(tokenizer),
        template_fingerprint=fingerprint.template_fingerprint(tokenizer),
        weights=fingerprint.weight_hashes(shipped_model(str(model))),
        backend=backend,
    )
