"""From a public GRPO recipe of 2025 to one that runs here: what moved is moved, what is missing is said."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polypath.core.objectives import BUILT_IN
from polypath.core.reward_names import NAMES, OF_SCRIPTS, WITHOUT
from polypath.old_keys import ENVIRONMENT_KEYS, RENAMED, REWARD_KEYS, SCRIPTS, fate
from polypath.plan.settings import known_settings
from polypath.yaml_file import read_yaml

# The authors' code where it differs from our defaults; recipes/dra_grpo/ names the places.
DRA = {
    "dra": True,
    "dra_divides": "sum",
    "dra_negative_similarity": "keep",
    "dra_negative_reward": "paper",
    "dra_uniform_group": "paper",
    "dra_empty_completion": "paper",
    "beta": 0.04,  # this and the next: of TRL 0.15, which their code is
    "loss_type": "grpo",
}
EMBEDDERS = {"jina": "jinaai/jina-embeddings-v2-small-en"}
OVERLONG = {"max_completion_len": 16384, "soft_punish_cache": 4096}  # open-r1's defaults
SCRIPT_REWARDS = ("accuracy", "format", "tag_count")  # open-r1's, where the recipe names none
DEFAULTS = {"beta": "0.04, now 0", "loss_type": "grpo, now dapo"}  # TRL's, early in 2025
SCRIPT_KEYS = (  # a recipe of a script has one of them
    *("system_prompt", "chat_template", "dataset_prompt_column", "dataset_configs"),
    *("callbacks", "benchmarks", *SCRIPTS),
)
MERGED = ("env", "reward_options")  # several old keys go into one of these


@dataclass(kw_only=True)
class Converted:
    """A recipe that was converted.

    Attributes:
        values: its settings, by key.
        text: the same as YAML, with the comments and the order of the recipe.
        changes: what was done, by the key it was done to.
        missing: what has no counterpart, by key or reward function, and why.
        notes: what is worth a look.
    """

    values: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def convert(path: Path) -> Converted:
    """Convert a recipe of open-r1's script, of DRA-GRPO's or of an older TRL.

    What the machine has or has not (vLLM, a GPU, a login) is left as it is.

    Args:
        path: YAML file.

    Raises:
        MissingFileError, DataError: the file cannot be read.
        MissingExtraError: TRL, which defines most settings, is not installed.
    """
    given = {str(k): v for k, v in read_yaml(path, "Recipe", repeated=True).items()}
    made = Converted()
    new = {key: _moved(key, value, given, made) for key, value in given.items()}
    for key, value in _added(given, made).items():
        new[f"+ {key}"] = {key: value}
        made.changes[key] = f"added: {_plain(value)}, as the script had it"
    for settings in new.values():
        for key, value in settings.items():
            merged = key in MERGED and isinstance(made.values.get(key), dict)
            made.values[key] = {**made.values[key], **value} if merged else value
    text = path.read_text(encoding="utf-8")
    made.text = _edited(text, given, new, made)
    processes = _processes(given)
    if processes > 1 and "# plan:" not in text:
        made.text = f"# plan: processes={processes}\n{made.text}"
        made.notes.append(f"Written for {processes} processes: accelerate launch --num_processes.")
    old = [f"{key} ({was})" for key, was in DEFAULTS.items() if key not in made.values]
    if old and made.changes:
        made.notes.append(
            f"Not set, and TRL's default was another early in 2025: {', '.join(old)}."
        )
    return made


def _moved(key: str, value: Any, given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    """Return what takes the place of a key; say so where it is not the key itself."""
    known = {**known_settings(), **BUILT_IN.settings}
    if key == "reward_funcs":
        return {key: _rewards(value, given, made)}
    told = fate(key, known)
    if key in known or not told:
        if key not in known and "objectives" not in given:  # whose settings are keys, too
            made.missing[key] = "not a setting known here"
        return {key: value}
    new = _replaced(key, value, given, made)
    taken = [name for name in new if name in given and name not in MERGED]
    new = {name: one for name, one in new.items() if name not in taken}
    arrow = ", ".join(f"{name}: {_plain(one)}" for name, one in new.items())
    besides = f"{', '.join(taken)} of the recipe stays" if taken else told
    made.changes[key] = f"-> {arrow}" if arrow else besides
    return new


def _replaced(key: str, value: Any, given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    if key in RENAMED:
        one = value[0] if key == "dataset_configs" and isinstance(value, list) and value else value
        return {RENAMED[key]: one}
    if key in ENVIRONMENT_KEYS:
        return {"env": {ENVIRONMENT_KEYS[key]: str(value)}}
    if key in REWARD_KEYS:
        return {"reward_options": {key: value}}
    if key == "dataset_mixture":
        return _mixture(value, made)
    if key == "SMI_reweighting":
        return dict(DRA) if value else {}
    if key == "extractor_name" and given.get("SMI_reweighting", True):
        return _embedder(str(value), given, made)
    return {}


def _embedder(name: str, given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    model = EMBEDDERS.get(name, name)
    new = {"similarity": "embedding", "embedding_model": model}
    if "/" not in model:
        made.missing["extractor_name"] = f"set embedding_model to the hub id of {name!r}"
    if name not in EMBEDDERS:
        return new
    made.notes.append(f"trust_remote_code is on: {model} brings code, and the policy may as well.")
    tokens = given.get("max_completion_length", 256)
    return new | {"embedding_max_tokens": tokens, "trust_remote_code": True}


def _mixture(value: Any, made: Converted) -> dict[str, Any]:
    """Return TRL's ``datasets`` for open-r1's mixture, whose weights are shares of the splits."""
    try:
        sets = []
        for one in value["datasets"]:
            share = 100 * float(one.get("weight") or 1)
            split = str(one.get("split", "train")) + (f"[:{share:g}%]" if share < 100 else "")
            entry = {"path": one["id"], "name": one.get("config"), "split": split}
            sets.append(entry | {"columns": one.get("columns")})
    except (KeyError, TypeError, ValueError, AttributeError):
        made.missing["dataset_mixture"] = "datasets with an id each were expected"
        return {}
    share = value.get("test_split_size")
    return {"datasets": sets} | ({} if share is None else {"test_split_size": share})


def _rewards(value: Any, given: Mapping[str, Any], made: Converted) -> list[str]:
    names = [str(name) for name in _listed(value)]
    of = OF_SCRIPTS | ({"format": "dra_think_format_reward"} if "SMI_reweighting" in given else {})
    new = [name if name in NAMES else of.get(name, name) for name in names]
    for name in new:
        if name not in NAMES and not (":" in name or "." in name):
            made.missing[f"reward {name}"] = WITHOUT.get(name, "not a reward function known here")
    if new != names:
        made.changes["reward_funcs"] = f"-> {_plain(new)}"
    return new


def _listed(value: Any) -> list[Any]:
    return value.split() if isinstance(value, str) else list(value or ())


def _added(given: Mapping[str, Any], made: Converted) -> dict[str, Any]:
    """Return what the script did by itself, so that no key says it."""
    added: dict[str, Any] = {}
    names = _listed(given.get("reward_funcs"))
    script = any(key in given for key in SCRIPT_KEYS) or any(
        name in OF_SCRIPTS or name in WITHOUT for name in names
    )
    if not any((names, given.get("task"), given.get("reward_model_name_or_path"))):
        if script:
            count = len(given.get("reward_weights") or SCRIPT_REWARDS)
            names = list(SCRIPT_REWARDS[:count])
            added["reward_funcs"] = [OF_SCRIPTS[name] for name in names]
        else:
            made.missing["reward_funcs"] = "none is named, the script had its own; name a task"
    if "soft_overlong_punishment" in names:
        added["reward_options"] = {k: v for k, v in OVERLONG.items() if k not in given}
    if script and not given.get("task") and "dataset_prompt_column" not in given:
        added["dataset_prompt_column"] = "auto"
    if script and not (given.get("system_prompt") or given.get("chat_template")):
        made.notes.append("No system_prompt: early scripts had one of their own; set it if so.")
    return {key: value for key, value in added.items() if value}


def _processes(given: Mapping[str, Any]) -> int:
    """Return how many processes the recipe was written for: as it says, or so that groups are whole."""
    try:
        if "num_processes" in given:
            return int(given["num_processes"])
        group, batch = given.get("num_generations", 8), given.get("per_device_train_batch_size", 8)
        if "generation_batch_size" in given or not (
            batch * given.get("gradient_accumulation_steps", 1) % group
        ):
            return 1
        return int(group // math.gcd(group, batch))
    except (TypeError, ValueError, ZeroDivisionError):  # no numbers: the plan says so
        return 1


def _plain(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _edited(
    text: str, given: Mapping[str, Any], new: Mapping[str, dict[str, Any]], made: Converted
) -> str:
    """Return the recipe's text with the keys that moved, the others and the comments as they are."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)  # read_yaml has seen it
    keys = [str(key.value) for key, _ in node.value]
    lines = text.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in node.value] + [len(lines)]
    if node.flow_style or len(set(starts)) < len(starts):  # several keys on a line
        return _lines(made.values)
    last = {key for key in made.values if f"+ {key}" in new or key in MERGED}
    last = {key for key in last if made.values[key] != given.get(key)}
    out = lines[: starts[0]]
    for number, key in enumerate(keys):
        block = lines[starts[number] : starts[number + 1]]
        after: list[str] = []
        while len(block) > 1 and (not block[-1].strip() or block[-1].startswith("#")):
            after.insert(0, block.pop())
        if key in keys[number + 1 :]:
            made.changes[key] = "was there twice: the last is kept"
        elif key not in last:
            out += _block(key, given.get(key), new.get(key, {}), block, node.value[number][0])
        out += after
    if out and not out[-1].endswith("\n"):
        out.append("\n")
    out.append(_lines({key: value for key, value in made.values.items() if key in last}))
    edited = "".join(out)
    try:
        same = yaml.safe_load(edited) == made.values
    except yaml.YAMLError:
        same = False
    return edited if same else _lines(made.values)  # an anchor that is gone


def _block(
    key: str, value: Any, settings: dict[str, Any], block: list[str], node: yaml.Node
) -> list[str]:
    if settings == {key: value}:
        return block
    written = {name: one for name, one in settings.items() if name not in MERGED}
    if list(written.values()) == [value] and node.end_mark.line == node.start_mark.line:
        return [next(iter(written)) + block[0][node.end_mark.column :], *block[1:]]
    return [_lines(written)] if written else []


def _lines(settings: Mapping[str, Any]) -> str:
    return "".join(f"{key}: {_plain(value)}\n" for key, value in settings.items())
