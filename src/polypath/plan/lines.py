"""A recipe in words: which methods it switches on, and what must be there before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypath.errors import MissingFileError
from polypath.objectives import Active, PolicyTerm
from polypath.plan.models import deepspeed_path, find_model, hub_folder
from polypath.plan.settings import Settings
from polypath.rehearsal.settings import AUTO
from polypath.tasks import get_task
from polypath.tasks.options import key_values, option_texts

PATH_OPTIONS = ("data", "databases")  # task options that name a file or folder


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something the run reads.

    Attributes:
        what: model, data, databases, embedder, rehearsal set, DeepSpeed file, vLLM server.
        name: folder, file or hub id.
        present: whether it is on this machine; ``None`` where that cannot be told.
        hint: how to get it; empty where the hub id says it all.
    """

    what: str
    name: str
    present: bool | None
    hint: str = ""


def methods(settings: Settings) -> list[str]:
    """Return one line for each part of the objective, the base first."""
    lines = [_base(settings)]
    if settings.number("beta") > 0:
        lines.append(_penalty(settings))
    lines += [_method(active, settings) for active in _active(settings)]
    if rehearses(settings):
        divergence = settings.objectives.divergence
        made = settings.text("rehearsal_set") == AUTO
        stored = (
            "solutions of solved problems, sampled first"
            if made
            else "answers to mastered problems"
        )
        apart = "; these are not explored" if settings.flag("rehearsal_explore_only") else ""
        lines.append(
            f"rehearsal: {settings.number('rehearsal_coef'):g} x {divergence.entry.name}"
            f"{_changed(divergence)} on stored {stored}{apart}"
        )
    if settings.get("average_weights_from") is not None:
        start = settings.number("average_weights_from")
        lines.append(f"final weights: the mean over training from {start:.0%} on")
    return lines


def rehearses(settings: Settings) -> bool:
    """Return whether the rehearsal term is on."""
    return bool(settings.text("rehearsal_set")) and settings.number("rehearsal_coef") > 0


def _base(settings: Settings) -> str:
    scale = settings.text("scale_rewards").lower()
    undivided = scale in ("none", "false")
    name = "Dr. GRPO" if undivided and settings.text("loss_type") == "dr_grpo" else "GRPO"
    advantages = (
        "advantages not divided by the deviation"
        if undivided
        else f"advantages divided by the deviation of the {'group' if scale == 'true' else scale}"
    )
    low = settings.number("epsilon")
    high = low if settings.get("epsilon_high") is None else settings.number("epsilon_high")
    clip = f"clip {low:g}" if high == low else f"clip {low:g} below and {high:g} above"
    return f"{name}: {settings.text('loss_type')} loss, {advantages}, {clip}"


def _penalty(settings: Settings) -> str:
    gradient = settings.text("kl_gradient")
    if not gradient:
        gradient = "reverse" if settings.flag("use_bias_correction_kl") else "forward"
    return f"KL penalty: beta {settings.number('beta'):g}, its gradient the {gradient} KL's"


def _active(settings: Settings) -> list[Active[Any]]:
    """Return the methods that are on, but rehearsal."""
    objectives = settings.objectives
    return [*objectives.of_groups, *objectives.terms]


def _method(active: Active[Any], settings: Settings) -> str:
    """Return the line of a method: its name, weight, similarity, what it does, and changed settings."""
    weight = f"{active.coef:g} x " if isinstance(active.entry, PolicyTerm) else ""
    by = ""
    if "similarity_P_G_G" in active.wants:
        name = settings.text("similarity")
        model = f" of {settings.text('embedding_model')}" if name == "embedding" else ""
        by = f", {name} similarity{model}"
    return f"{active.entry.name}{by}: {weight}{active.entry.line}{_changed(active)}"


def _changed(active: Active[Any]) -> str:
    """Return the settings that are not at their defaults, in brackets."""
    found = [
        f"{s.field} {getattr(active.config, s.field)}"
        for s in active.entry.settings
        if getattr(active.config, s.field) != s.default
    ]
    return f" ({', '.join(found)})" if found else ""


def rewards(settings: Settings) -> list[str]:
    """Return the reward functions with their weights, the task's verifier first."""
    names = [f"{settings.text('task')} verifier"] if settings.text("task") else []
    if settings.text("reward_model_name_or_path"):
        names.append(settings.text("reward_model_name_or_path"))
    listed = settings.get("reward_funcs") or []
    names += listed.split() if isinstance(listed, str) else [str(name) for name in listed]
    weights = settings.get("reward_weights") or [1.0] * len(names)
    if not isinstance(weights, list) or len(weights) != len(names):
        return names  # the run says what is wrong
    return [f"{weight} x {name}" for weight, name in zip(weights, names, strict=True)]


def needs(settings: Settings, folder: Path) -> list[Need]:
    """Return what the run reads, and whether it is on this machine.

    Args:
        settings: of the recipe.
        folder: of the recipe; a sibling that writes the rehearsal set is named as the way to it.
    """
    found = [_model_need(settings), *_data_needs(settings)]
    compared = any("similarity_P_G_G" in active.wants for active in settings.objectives.of_groups)
    if compared and settings.text("similarity") == "embedding":
        name = settings.text("embedding_model")
        here = Path(name).is_dir() or hub_folder(name) is not None
        found.append(Need(what="embedder", name=name, present=here))
    if rehearses(settings) and settings.text("rehearsal_set") != AUTO:
        name = settings.text("rehearsal_set")
        present = (Path(name) / "manifest.json").is_file()
        hint = "" if present else presample_command(settings, folder)
        found.append(Need(what="rehearsal set", name=name, present=present, hint=hint))
    if settings.get("deepspeed") and not isinstance(settings.get("deepspeed"), Mapping):
        name = settings.text("deepspeed")
        present = deepspeed_path(name, folder).is_file()
        found.append(Need(what="DeepSpeed file", name=name, present=present))
    if settings.flag("use_vllm") and settings.text("vllm_mode") == "server":
        host = f"{settings.text('vllm_server_host')}:{settings.text('vllm_server_port')}"
        address = settings.text("vllm_server_base_url") or host
        found.append(Need(what="vLLM server", name=address, present=None))
    return found


def _model_need(settings: Settings) -> Need:
    name = settings.text("model_name_or_path")
    try:
        present = bool(name) and find_model(name) is not None
    except MissingFileError as error:
        return Need(what="model", name=name, present=False, hint=str(error))
    return Need(what="model", name=name or "(not named)", present=present)


def _data_needs(settings: Settings) -> list[Need]:
    name = settings.text("task")
    if not name:
        data = settings.text("dataset_name") or "(a mixture of data sets)"
        here = Path(data).exists() or hub_folder(data, "datasets") is not None
        return [Need(what="data", name=data, present=here)]
    options = key_values(option_texts(settings.get("task_options")), setting="task_options")
    task = get_task(name, options)
    found = [
        Need(what=option, name=options[option], present=Path(options[option]).exists())
        for option in PATH_OPTIONS
        if option in options
    ]
    if "data" in options:
        return found
    hub = getattr(task, "hub", "")  # of tasks that read a data set; the others ship with polypath
    if hub:
        here = hub_folder(hub, "datasets") is not None
        return [Need(what="data", name=hub, present=here), *found]
    hint = "" if hub == "" else f"give the local files: task_options: [data=FOLDER] of {name}"
    return [Need(what="data", name=f"task {name}", present=hub == "", hint=hint), *found]


def presample_command(settings: Settings, folder: Path) -> str:
    """Return the command that makes the rehearsal set of a recipe.

    A YAML file next to the recipe that writes this set is named if there is one.
    """
    wanted = settings.text("rehearsal_set")
    for path in sorted(folder.glob("presample*.yaml")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if any(line.split("#")[0].split() == ["out:", wanted] for line in lines):
            return f"polypath presample --config {path}"
    parts = ["polypath presample", f"--model {settings.text('model_name_or_path')}"]
    if settings.text("task"):
        parts.append(f"--task {settings.text('task')}")
        texts = option_texts(settings.get("task_options"))
        parts += [f"--task-option {text}" for text in texts]
        parts.append(f"--split {settings.text('task_split') or 'train'}")
    parts.append(f"--temperature {settings.number('temperature'):g}")
    parts.append(f"--max-new-tokens {settings.count('max_completion_length')}")
    return " ".join([*parts, f"--out {wanted}"])
