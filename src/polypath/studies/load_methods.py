"""The methods of a study file, and of files that join others: settings, strengths, rehearsal sets."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, PolypathError, unknown_name
from polypath.rehearsal.settings import PresampleSettings
from polypath.studies.config import Method, Presampling
from polypath.studies.keys import folder_name, names_of, read, refuse
from polypath.yaml_file import read_yaml

# Settings that the runner sets itself, and where a study file defines them.
RESERVED = {
    "output_dir": "--out decides it",
    "seed": "'seeds' lists them",
    "model_name_or_path": "'base' names it",
    "task": "'task' names it",
    "task_options": "'task_options' of the study holds them",
    "rehearsal_set": "'rehearsal' of the method names a pre-sampling",
    "resume_from_checkpoint": "rerunning the command resumes",
    "env": "set it in the recipe",
}


def filled(content: Any, where: str) -> Mapping[str, Any]:
    """Return a mapping after checking that it is not empty.

    Args:
        content: content of the file at this place.
        where: name of the place, for messages.

    Raises:
        ConfigError: it is empty, or no mapping.
    """
    found = names_of(content, where)
    if not found:
        refuse(where, "must not be empty", content)
    return found


def scalars(content: Any, where: str) -> dict[str, Any]:
    """Read a mapping of names to texts, numbers, flags, or lists of these.

    Args:
        content: content of the file at this place; ``None`` for an empty mapping.
        where: name of the place, for messages.

    Raises:
        ConfigError: a value is something else.
    """
    for name, value in names_of(content or {}, where).items():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float | bool) for item in items):
            refuse(f"{name} in {where}", "must be a text, a number, true, false or a list", value)
    return dict(content or {})


def read_methods(
    study: Mapping[str, Any], where: str, presamplings: Mapping[str, Presampling]
) -> dict[str, Method]:
    """Read the methods of a study, with the settings that they share.

    Args:
        study: keys of the study file and their values.
        where: name of the file, for messages.
        presamplings: rehearsal sets that methods may name.

    Raises:
        ConfigError: a key is unknown, or a value does not fit.
    """
    methods = {}
    for name, content in filled(study["methods"], f"methods of {where}").items():
        here = f"methods.{name}"
        usual = {"label": name, "temperatures": study["method_temperatures"]}
        is_checkpoint = _is_checkpoint(names_of(content or {}, here), here)
        usual["checkpoints"] = () if is_checkpoint else study["checkpoints"]
        found = read(content or {}, here, Method, **usual)
        found |= {
            "name": folder_name(name, "a method's name"),
            "settings": read_settings(found["settings"], here),
            "strengths": _strengths(found["strengths"], here),
            "rehearsal": _rehearsal(found["rehearsal"], here, presamplings),
        }
        methods[name] = Method(**found)
    return methods


def _is_checkpoint(given: Mapping[str, Any], where: str) -> bool:
    """Return whether a method is a checkpoint of another. Such a method has no settings of its own."""
    if ("of" in given) != ("step" in given):
        refuse(where, "must have both of 'of' and 'step', or neither", given)
    for key in ("settings", "rehearsal", "strengths"):
        if "of" in given and key in given:
            what = "must be left out, because this is a checkpoint of another method"
            refuse(f"{key} in {where}", what, given[key])
    return "of" in given


def read_settings(content: Any, where: str) -> dict[str, Any]:
    """Read recipe keys and values.

    Args:
        content: content of the file at this place.
        where: name of the place, for messages.

    Raises:
        ConfigError: a key is one that the runner sets itself, or a value is no scalar or list.
    """
    found = {}
    for key, value in scalars(content, f"settings of {where}").items():
        name = key.replace("-", "_")
        if name in RESERVED:
            raise ConfigError(
                f"settings of {where} must not hold {key!r}: {RESERVED[name]}. Leave it out."
            )
        found[name] = value
    return found


def _strengths(content: Any, where: str) -> tuple[dict[str, Any], ...]:
    """Read what tuning chooses between: lists of values by key (all combinations), or a list of settings."""
    if content == ():
        return ()
    here = f"strengths in {where}"
    if isinstance(content, dict):
        grid = {
            key: value if isinstance(value, list) else [value] for key, value in content.items()
        }
        combined = itertools.product(*grid.values())
        content = [dict(zip(grid, values, strict=True)) for values in combined]
    if not isinstance(content, list) or len(content) < 2:
        refuse(
            here, "must be {KEY: [VALUES]} or a list of settings, two candidates or more", content
        )
    found = [read_settings(filled(one, here), here) for one in content]
    if len({strength_name(one) for one in found}) < len(found):
        refuse(here, "must not name a candidate twice", content)
    return tuple(found)


def strength_name(settings: Mapping[str, Any]) -> str:
    """Return what a candidate of tuning is called: its settings in one line."""
    return ", ".join(f"{key} {_told(value)}" for key, value in settings.items())


def _told(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_told, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rehearsal(value: Any, where: str, presamplings: Mapping[str, Presampling]) -> str:
    """Return the name of a method's pre-sampling; empty for none."""
    if value is False or value is None:
        return ""
    if value is True and len(presamplings) == 1:
        return next(iter(presamplings))
    if not isinstance(value, str):
        refuse(f"rehearsal in {where}", f"must name one of {sorted(presamplings)}", value)
    if value not in presamplings:
        raise unknown_name(f"pre-sampling in {where}:", value, presamplings)
    return value


def read_presamplings(content: Any, batch_size: int) -> dict[str, Presampling]:
    """Read the rehearsal sets: a single one, or several by name.

    Args:
        content: content of ``presample``; ``None`` for no set.
        batch_size: completions sampled together, unless a set has its own number.

    Raises:
        ConfigError: a key is unknown, or a value does not fit.
    """
    if content is None:
        return {}
    named = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    settings = [field.name for field in fields(PresampleSettings)]
    found = {}
    for name, value in (content if named else {"rehearsal": content}).items():
        where = f"presample.{name}" if named else "presample"
        own = read(value, where, Presampling, also=settings)
        given = {key: value[key] for key in settings if key in value}
        try:
            made = PresampleSettings(**{"batch_size": batch_size, **given})
        except PolypathError as error:
            raise ConfigError(f"{where}: {error}") from None
        except TypeError:
            refuse(where, f"must hold values like {asdict(PresampleSettings())}", given)
        name = folder_name(str(name), "a pre-sampling's name")
        found[name] = Presampling(name=name, settings=made, **own)
    return found


# --- files with further methods ---------------------------------------------------------------------


def join(
    study: Mapping[str, Any], files: Sequence[Path]
) -> tuple[dict[str, Method], dict[str, Presampling]]:
    """Read the methods of other files as if they were in the study's, with their rehearsal sets.

    Args:
        study: keys of the study file, with its ``methods`` and ``presamplings`` already read.
        files: YAML files with ``methods``, and ``presample`` with sets by name if they need any. Python
            files in ``objectives`` may lie beside them.

    Returns:
        The methods and the rehearsal sets of the study and of the files.

    Raises:
        MissingFileError: a file does not exist.
        DataError: it is not YAML.
        ConfigError: a key is unknown, a value does not fit, or a name is already taken.
    """
    methods, presamplings = dict(study["methods"]), dict(study["presamplings"])
    for path in files:
        content, where = read_yaml(path, "File of methods"), str(path)
        for key in content:
            if key not in ("methods", "presample"):
                raise unknown_name(f"key in {where}:", str(key), ("methods", "presample"))
        sets = read_presamplings(content.get("presample"), study["batch_size"])
        _refuse_taken("rehearsal set", sets, presamplings, where)
        presamplings |= sets
        beside = {**study, "methods": _beside(content.get("methods"), path.parent)}
        found = read_methods(beside, where, presamplings)
        _refuse_taken("method", found, methods, where)
        methods |= found
    return methods, presamplings


def _refuse_taken(
    what: str, found: Mapping[str, object], known: Mapping[str, object], where: str
) -> None:
    for name in found:
        if name in known:
            raise ConfigError(
                f"The {what} {name!r} of {where} is already in the study. Use another name."
            )


def _beside(methods: Any, folder: Path) -> Any:
    """Return methods whose ``objectives`` are found from the folder of their file."""
    if not isinstance(methods, dict):
        return methods  # refused where it is read
    found = {}
    for name, content in methods.items():
        settings = content.get("settings") if isinstance(content, dict) else None
        if isinstance(settings, dict) and isinstance(settings.get("objectives"), list):
            places = [_place(spec, folder) for spec in settings["objectives"]]
            content = {**content, "settings": {**settings, "objectives": places}}
        found[name] = content
    return found


def _place(spec: Any, folder: Path) -> Any:
    file, _, name = str(spec).rpartition(":")
    return f"{(folder / file).as_posix()}:{name}" if (folder / file).is_file() else spec
