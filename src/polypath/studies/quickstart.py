"""The quickstart: a study that ships with polypath, with a few of its numbers changed."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from polypath.errors import ConfigError
from polypath.studies.config import BASE, COOLED, Study
from polypath.studies.job_functions import ENTROPY
from polypath.studies.load import study_of
from polypath.yaml_file import read_yaml

FILE = Path(__file__).parent.parent / "assets" / "studies" / "quickstart.yaml"
UPDATES_PER_ROUND = 4  # steps_per_generation of the recipe


def quickstart_study(
    *,
    methods: Sequence[str] = (),
    steps: int = 200,
    problems: int = 400,
    samples: int = 128,
    seed: int = 0,
) -> Study:
    """Return the study of the quickstart.

    Args:
        methods: keys of the file's methods; empty for all. GRPO is always included, because the others
            are compared with it.
        steps: rounds of 512 completions and 4 updates each, >= 1.
        problems: held-out problems; half as many out of domain, and on dev to choose a temperature.
        samples: samples of each held-out problem; out of domain the file's number.
        seed: seed of training and of all samples.

    Raises:
        ConfigError: a method is unknown, or a number is out of range.
    """
    if steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {steps}.")
    content = read_yaml(FILE, "Study")
    content |= {"seeds": [seed], "sampling_seed": seed}
    content["presample"]["seed"] = seed
    content["settings"]["max_steps"] = steps * UPDATES_PER_ROUND
    main, *others = content["evaluation"].values()
    main |= {"problems": problems, "samples": samples}
    for evaluation in (*others, content["tuning"]):
        evaluation["problems"] = max(2, problems // 2)
    study = study_of(content, FILE)
    if methods:
        study = study.only(["grpo", *methods], None)
    given = {"methods": ",".join(methods), "steps": steps, "problems": problems}
    return replace(
        study,
        command=_command({**given, "samples": samples, "seed": seed}),
        text=yaml.safe_dump(content, sort_keys=False),
    )


def _command(options: Mapping[str, Any]) -> str:
    """Return the command with the options that differ from the defaults."""
    usual = inspect.signature(quickstart_study).parameters
    told = [f" --{k} {v}" for k, v in options.items() if v and v != usual[k].default]
    return f"polypath quickstart{''.join(told)}"


def table_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of all splits as flat objects whose keys are the columns of the tables.

    Args:
        results: results of ``run_study``.
    """
    rows = []
    for split, found in results["splits"].items():
        for row in found["rows"]:
            name = row["name"] if row["name"] in (BASE, COOLED) else row["label"]
            flat = {"method": name, "split": split}
            for key, metric in row["metrics"].items():
                if key.startswith("pass@") or key == "distinct@64":
                    column = key if key.startswith("pass@") else "distinct"
                    flat[column] = metric["estimate"]
                    flat |= {f"{column} {end}": metric[end] for end in ("low", "high")}
            flat["entropy"] = row["metrics"][ENTROPY]["estimate"]
            flat["seconds"] = row["training_seconds"]
            rows.append(flat)
    return rows
