"""The methods of a study file, and the rehearsal sets that they use."""

from collections.abc import Mapping
from dataclasses import asdict, fields

from polypath.errors import ConfigError, PolypathError, unknown_name
from polypath.rehearsal.settings import PresampleSettings
from polypath.studies.config import Method, Presampling, Settings
from polypath.studies.reading import Section

# What the runner sets itself, and where a study file says it.
RESERVED = {
    "output_dir": "--out decides it",
    "seed": "'seeds' lists them",
    "model_name_or_path": "'base' names it",
    "task": "'task' names it",
    "task_options": "'task_options' of the study holds them",
    "rehearsal_set": "'rehearsal' of the method names a pre-sampling",
    "resume_from_checkpoint": "the same command goes on by itself",
    "env": "set it in the recipe",
}
METHOD_KEYS = [
    *("label", "settings", "rehearsal", "checkpoints", "temperatures", "against"),
    *("of", "step"),
]
PRESAMPLE_FIELDS = tuple(f.name for f in fields(PresampleSettings))


def read_methods(section: Section, presamplings: Mapping[str, Presampling]) -> dict[str, Method]:
    """Read the methods of a study, with what they have in common from the study itself."""
    methods = {}
    default = section.integers("checkpoints", (), least=1)
    temperatures = section.numbers("method_temperatures", low=0.0)
    for name, value in section.mapping("methods").items():
        inner = Section(value or {}, f"methods.{name}", METHOD_KEYS)
        _check_of(inner)
        methods[name] = Method(
            name=section.folder_name("a method's name", name),
            label=inner.text("label", name),
            settings=read_settings(inner),
            rehearsal=_rehearsal(inner, presamplings),
            of=inner.text("of", ""),
            step=inner.integer("step", 0),
            checkpoints=inner.integers(
                "checkpoints", () if "of" in inner.content else default, least=1
            ),
            temperatures=inner.numbers("temperatures", low=0.0, default=temperatures),
            against=inner.text("against", ""),
        )
    return methods


def _check_of(section: Section) -> None:
    """Refuse a checkpoint without a step, a step of nothing, and settings of what is not trained."""
    given = section.content
    if ("of" in given) != ("step" in given):
        section.refuse("", "must hold both of 'of' and 'step', or none", given)
    if "of" in given:
        section.integer("step", least=1)
        for key in ("settings", "rehearsal"):
            if key in given:
                section.refuse(key, "must be left out: it is a checkpoint of another", given[key])


def read_settings(section: Section) -> Settings:
    """Read recipe keys and values; what the runner sets itself is refused."""
    found = section.scalars("settings")
    for key in found:
        if key.replace("-", "_") in RESERVED:
            raise ConfigError(
                f"settings of {section.where} must not hold {key!r}: "
                f"{RESERVED[key.replace('-', '_')]}. Leave it out."
            )
    return {key.replace("-", "_"): value for key, value in found.items()}


def _rehearsal(section: Section, presamplings: Mapping[str, Presampling]) -> str:
    value = section.content.get("rehearsal", False)
    if value is False or value is None:
        return ""
    if value is True:
        if len(presamplings) != 1:
            section.refuse("rehearsal", f"must name one of {sorted(presamplings)}", value)
        return next(iter(presamplings))
    if value not in presamplings:
        raise unknown_name(f"pre-sampling in {section.where}:", value, presamplings)
    return str(value)


def read_presamplings(section: Section) -> dict[str, Presampling]:
    """Read the rehearsal sets: one by itself, or several by name."""
    content = section.content.get("presample")
    if content is None:
        return {}
    named = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    found = {}
    for name, value in (content if named else {"rehearsal": content}).items():
        where = f"presample.{name}" if named else "presample"
        inner = Section(value, where, ["split", "limit", *PRESAMPLE_FIELDS])
        given = {key: v for key, v in inner.content.items() if key not in ("split", "limit")}
        given = {"batch_size": section.integer("batch_size", 2048, least=1), **given}
        try:
            settings = PresampleSettings(**given)
        except PolypathError as error:
            raise ConfigError(f"{where}: {error}") from None
        except TypeError:
            inner.refuse("", f"must hold values like {asdict(PresampleSettings())}", given)
        found[section.folder_name("a pre-sampling's name", str(name))] = Presampling(
            name=str(name),
            split=inner.text("split", "train"),
            limit=inner.integer("limit", least=1) if "limit" in inner.content else None,
            settings=settings,
        )
    return found
