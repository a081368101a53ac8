"""What a run reads, and whether it exists on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polypath.errors import MissingFileError
from polypath.plan.methods import rehearses
from polypath.plan.on_machine import find_model, has_weights, hub_folder
from polypath.plan.settings import Settings
from polypath.plan.zero import deepspeed_path
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
        present: whether it is on this machine; ``None`` if this cannot be checked.
        hint: how to get it; empty if the hub id is enough.
    """

    what: str
    name: str
    present: bool | None
    hint: str = ""


def needs(settings: Settings, folder: Path) -> list[Need]:
    """Return what the run reads, and whether it is on this machine.

    Args:
        settings: settings of the recipe.
        folder: folder of the recipe. A file next to it that makes the rehearsal set is named in the hint.
    """
    found = [_model_need(settings), *_data_needs(settings)]
    if settings.objectives.compare and settings.text("similarity") == "embedding":
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
        folder = find_model(name) if name else None
        present = folder is not None and has_weights(folder)
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
    hub = getattr(task, "hub", "")  # for tasks that read a data set; the others ship with polypath
    if hub:
        here = hub_folder(hub, "datasets") is not None
        return [Need(what="data", name=hub, present=here), *found]
    hint = "" if hub == "" else f"give the local files: task_options: [data=FOLDER] of {name}"
    return [Need(what="data", name=f"task {name}", present=hub == "", hint=hint), *found]


def check_rehearsal_set(settings: Settings, folder: Path) -> None:
    """Check that the rehearsal set of a recipe exists.

    Args:
        settings: settings of the recipe.
        folder: folder of the recipe.

    Raises:
        MissingFileError: it does not exist. The message has the command that makes it.
    """
    name = settings.text("rehearsal_set")
    if rehearses(settings) and name != AUTO and not Path(name).is_dir():
        command = presample_command(settings, folder)
        raise MissingFileError(f"rehearsal_set {name} does not exist. Make it first: {command}")


def presample_command(settings: Settings, folder: Path) -> str:
    """Return the command that makes the rehearsal set of a recipe.

    If a YAML file next to the recipe writes this set, the command names that file.
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
