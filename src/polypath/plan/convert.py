"""From a public GRPO recipe of 2025 to one that runs here. Moved keys are moved, missing ones reported."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polypath.core.objectives import BUILT_IN
from polypath.core.reward_names import NAMES, OF_SCRIPTS, OPTIONS, WITHOUT
from polypath.old_keys import GONE, OPEN_R1, RENAMED, VARIABLES, fate
from polypath.plan.settings import known_settings
from polypath.yaml_file import read_yaml

# The authors' code where it differs from our defaults; recipes/dra_grpo/ names the places.
DRA = {
    "dra": True,
    "dra_divides": "sum",
    "dra_negative_similarity": "keep",
    **dict.fromkeys(("dra_negative_reward", "dra_uniform_group", "dra_empty_completion"), "paper"),
    "beta": 0.04,  # this and the next are defaults of TRL 0.15, which their code uses
    "loss_type": "grpo",
}
JINA = "jinaai/jina-embeddings-v2-small-en"
SCRIPT_REWARDS = ("accuracy", "format", "tag_count")  # open-r1's, if the recipe names none
OVERLONG = {"max_completion_len": 16384, "soft_punish_cache": 4096}  # open-r1's defaults
DEFAULTS = {"beta": "0.04, now 0", "loss_type": "grpo, now dapo"}  # TRL's in early 2025
TRUST = "trust_remote_code"
# Another person's recipe does not decide whose code runs here.
NOT_TRUSTED = f"is left out: it runs code that models contain. To allow it, add {TRUST}: true"
MERGED = ("env", "reward_options")  # several old keys become part of one of these


@dataclass(kw_only=True)
class Converted:
    """A converted recipe.

    Attributes:
        values: its settings, by key.
        text: the same as YAML, with the comments and the order of the recipe.
        changes: what was changed, by key.
        missing: what has no counterpart, by key or reward function, and why.
        notes: what is worth checking.
    """

    values: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def convert(path: Path) -> Converted:
    """Convert a recipe for open-r1's script, for DRA-GRPO's or for an older TRL.

    Settings that depend on the machine (vLLM, a GPU, a login) stay as they are.

    Raises:
        MissingFileError, DataError: the file cannot be read.
        MissingExtraError: TRL, which defines most settings, is not installed.
    """
    given = {str(k): v for k, v in read_yaml(path, "Recipe", repeated=True).items()}
    made = Converted()
    new = {key: _moved(key, value, given, made) for key, value in given.items()}
    added = _added(given, made)
    for settings in (*new.values(), added):
        for key, value in settings.items():
            before = made.values.get(key)
            if key in MERGED and isinstance(before, dict) and isinstance(value or {}, dict):
                value = {**before, **(value or {})}
            made.values[key] = value
    text = path.read_text(encoding="utf-8")
    made.text = _edited(text, given, new, made)
    processes = _processes(given)
    if processes > 1 and "# plan:" not in text:
        made.text = f"# plan: processes={processes}\n{made.text}"
        made.notes.append(f"Written for {processes} processes: accelerate launch --num_processes.")
    if old := [f"{key} ({was})" for key, was in DEFAULTS.items() if key not in made.values]:
        made.notes.append(
            f"Not set, and TRL's default was different in early 2025: {', '.join(old)}."
        )
    return made


def _moved(key: str, value: Any, given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    """Return what replaces a key, and record it if it is not the key itself."""
    new = {key: _distrusting(value)}
    if new != {key: value}:
        made.changes[f"{TRUST} in {key}"] = NOT_TRUSTED
    if key == TRUST and value is not False:
        new = {}
        made.changes[key] = NOT_TRUSTED
    elif key == "reward_funcs":
        names = _rewards(_listed(value), given, made)
        new = {key: value if names == _listed(value) else names}
    elif key in RENAMED or key in GONE:
        new = _replaced(key, value, given, made)
        stays = [name for name in new if name in given and name not in MERGED]
        new = {name: one for name, one in new.items() if name not in stays}
        made.changes[key] = f"yields to {', '.join(stays)}" if stays and not new else fate(key)
    elif key not in known_settings() and key not in BUILT_IN.settings and "objectives" not in given:
        made.missing[key] = "not a setting known here"
    if new and new != {key: value}:
        made.changes[key] = "-> " + ", ".join(f"{name}: {_plain(one)}" for name, one in new.items())
    return new


def _replaced(key: str, value: Any, given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    if key in RENAMED:
        first = key == "dataset_configs" and isinstance(value, list) and value
        return {RENAMED[key]: value[0] if first else value}
    if key in VARIABLES:
        return {"env": {VARIABLES[key]: str(value)}}
    if key in OPTIONS:
        return {"reward_options": {key: value}}
    if key == "dataset_mixture":
        made.missing[key] = "write it as TRL's datasets"
    if key == "SMI_reweighting" and value:
        return dict(DRA)
    if key != "extractor_name" or not given.get("SMI_reweighting", True):
        return {}
    if value != "jina":
        if "/" not in str(value):
            made.missing[key] = f"set embedding_model to the hub id of {value!r}"
        return {"similarity": "embedding", "embedding_model": value}
    made.changes[TRUST] = f"{NOT_TRUSTED}. {JINA} needs it"
    tokens = given.get("max_completion_length", 256)
    return {"similarity": "embedding", "embedding_model": JINA, "embedding_max_tokens": tokens}


def _distrusting(value: Any) -> Any:
    """Return a value without the permissions in it to run code, also in a JSON text."""
    if isinstance(value, str) and TRUST in value:
        try:
            inside = json.loads(value)
        except ValueError:
            return value
        kept = _distrusting(inside)
        return value if kept == inside else json.dumps(kept)
    if isinstance(value, list):
        return [_distrusting(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {k: _distrusting(v) for k, v in value.items() if k != TRUST or v is False}


def _rewards(names: list[str], given: Mapping[str, Any], made: Converted) -> list[str]:
    of = OF_SCRIPTS | ({"format": "dra_think_format_reward"} if "SMI_reweighting" in given else {})
    new = [name if name in NAMES else of.get(name, name) for name in names]
    for name in new:
        if name not in NAMES and not (":" in name or "." in name):
            made.missing[f"reward {name}"] = WITHOUT.get(name, "not a reward function known here")
    return new


def _listed(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return str(value).split() if value else []


def _added(given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    """Return what the script did by default, so that no key of the recipe says it."""
    added: dict[str, Any] = {}
    names = _listed(given.get("reward_funcs"))
    marks = {*OPEN_R1, *OF_SCRIPTS, *WITHOUT, "SMI_reweighting", "num_processes", "dataset_configs"}
    marks |= {"system_prompt", "chat_template", "dataset_prompt_column"}
    script = not marks.isdisjoint((*given, *names))
    if not any((names, given.get("task"), given.get("reward_model_name_or_path"))):
        if script:
            names = list(
                SCRIPT_REWARDS[: len(_listed(given.get("reward_weights")) or SCRIPT_REWARDS)]
            )
            added["reward_funcs"] = [OF_SCRIPTS[name] for name in names]
        else:
            made.missing["reward_funcs"] = "none is named, the script had its own; name a task"
    if "cosine" in names and not {"accuracy", "accuracy_reward"}.intersection(names):
        # Its sign says what is correct; the names of the other functions do not.
        added |= {"correctness_reward": "cosine_scaled_reward", "correctness_threshold": 0.0}
    if "soft_overlong_punishment" in names:
        added["reward_options"] = {k: v for k, v in OVERLONG.items() if k not in given}
    if script and not given.get("task") and "dataset_prompt_column" not in given:
        added["dataset_prompt_column"] = "auto"
    added = {k: v for k, v in added.items() if k not in given and v != {}}
    made.changes |= {k: f"is added: {_plain(v)}" for k, v in added.items()}
    return added


def _processes(given: Mapping[str, Any]) -> int:
    """Return how many processes the recipe was written for: as it says, or such that groups are whole."""
    batch, steps, group, asked = (
        given.get(key, default)
        for key, default in (
            ("per_device_train_batch_size", 8),
            ("gradient_accumulation_steps", 1),
            ("num_generations", 8),
            ("num_processes", 0),
        )
    )
    if not all(isinstance(value, int) and value >= 0 for value in (batch, steps, group, asked)):
        return 1  # the plan says what is wrong
    fits = not group or "generation_batch_size" in given or batch * steps % group == 0
    return asked or (1 if fits else group // math.gcd(group, batch))


def _plain(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _edited(
    text: str, given: Mapping[str, Any], new: Mapping[str, dict[str, Any]], made: Converted
) -> str:
    """Return the recipe's text with the moved keys replaced; other keys and comments stay as they are."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)  # read_yaml has seen it
    nodes = [key for key, _ in node.value]
    lines = text.splitlines(keepends=True)
    starts = [key.start_mark.line for key in nodes] + [len(lines)]
    last = {
        key
        for key in made.values
        if key in MERGED or key not in {k for v in new.values() for k in v}
    }
    last = {key for key in last if made.values[key] != given.get(key)}
    out = lines[: starts[0]]
    for number, key in enumerate(nodes):
        block = lines[starts[number] : starts[number + 1]]
        after: list[str] = []
        while len(block) > 1 and (not block[-1].strip() or block[-1].startswith("#")):
            after.insert(0, block.pop())
        name, settings = key.value, new.get(key.value, {})
        if name in [other.value for other in nodes[number + 1 :]]:
            made.changes[name] = "occurred twice: the last is kept"
        elif settings == {name: given.get(name)} and name not in last:
            out += block
        elif block and list(settings.values()) == [given.get(name)] and not last & {*settings}:
            out += [next(iter(settings)) + block[0][key.end_mark.column :], *block[1:]]
        else:
            out.append(_lines({k: v for k, v in settings.items() if k not in last}))
        out += after
    if out and not out[-1].endswith("\n"):
        out.append("\n")
    edited = "".join(out) + _lines({key: made.values[key] for key in made.values if key in last})
    try:
        same = yaml.safe_load(edited) == made.values
    except yaml.YAMLError:
        same = False
    return edited if same else _lines(made.values)  # several keys on a line, anchors


def _lines(settings: Mapping[str, Any]) -> str:
    return "".join(f"{key}: {_plain(value)}\n" for key, value in settings.items())
