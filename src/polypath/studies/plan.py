"""Where all files of a study are, and the jobs that make them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError
from polypath.rehearsal.settings import ADDED_LATER
from polypath.rollouts.files import read_json
from polypath.studies import job_functions
from polypath.studies.arguments import checked_recipe, training_arguments
from polypath.studies.config import BASE, SHARED, Evaluation, Study, at_temperature, is_test
from polypath.studies.jobs import Job
from polypath.tasks.shipped import shipped_model
from polypath.train.callbacks import LOG_FILE, read_log
from polypath.train.record import FINISHED_FILE, FREE_ON_RESUME

TIMINGS = "seconds.json"  # in the folder of a study: name of a job -> its time
SMALL_BASE = 256 * 2**20  # bytes; the weights of models up to this size are hashed
END, CHECKPOINT, TEMPERATURE = "end", "checkpoint", "temperature"  # kinds of evaluated models


class StudyPlan:
    """The files and jobs of a study in a folder.

    The name of a result's folder contains a hash of everything that decides the result. With other settings
    the study makes another folder next to it. With the old settings it finds the old one again.

    In its methods, ``name`` is the key of a method of the study, ``seed`` a training seed, ``step`` an
    optimizer step (0 for the last), ``owner`` the folder of the base or of a training run, and
    ``evaluation`` how samples are drawn.

    Args:
        study: a checked study.
        out: folder for everything, existing or new.
        device: device on which jobs sample: ``"cpu"``, or ``None`` for a GPU if there is one.

    Raises:
        ConfigError: a method's strength is not chosen yet; ``out`` is a file; a method's settings do not fit
            the recipe; its checkpoints are not saved; or the study would measure on the split that it trains
            on.
    """

    def __init__(self, study: Study, out: str | Path, *, device: str | None = "cpu") -> None:
        self.study = study
        self.device = device
        self.out = Path(out)
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"--out {out} is a file. Name a folder, existing or new.")
        for name, method in study.tuned.items():
            if not method.picked:
                raise ConfigError(
                    f"The strength of {name!r} is not picked yet. Run the study: it tunes first."
                )
        self._base_identity = {
            "base": study.base,
            "weights": _fingerprint(Path(shipped_model(study.base))),
            "task": study.task,
            "options": dict(study.task_options),
        }
        self.recipes = {
            name: checked_recipe(study, method, self._arguments(name, 0, self.out))
            for name, method in study.methods.items()
        }
        self._refuse_training_splits()

    # --- folders --------------------------------------------------------------------------------

    def base_folder(self) -> Path:
        """Return the folder of everything drawn from the base."""
        return self.out / "base" / _short_hash(self._base_identity)

    def presample_folder(self, name: str) -> Path:
        """Return the folder of a rehearsal set."""
        return self.out / "presample" / f"{name}-{_short_hash(self._presample_identity(name))}"

    def method_folder(self, name: str) -> Path:
        """Return the folder of a method's seeds. For a checkpoint of another method, it is the other's."""
        trained = self.study.trained(name).name
        return self.out / "runs" / f"{trained}-{_short_hash(self.method_identity(trained))}"

    def run_folder(self, name: str, seed: int) -> Path:
        """Return the folder of one training run."""
        return self.method_folder(name) / f"seed{seed}"

    def method_identity(self, name: str) -> dict[str, Any]:
        """Return everything but the seed that decides the result of a method's runs."""
        method = self.study.methods[name]
        values = self.recipes[name].values
        runner = FREE_ON_RESUME | {"seed", "rehearsal_set", "model_name_or_path", "task"}
        return {
            **self._base_identity,
            "settings": {k: _plain(v) for k, v in sorted(values.items()) if k not in runner},
            "rehearsal": self._presample_identity(method.rehearsal) if method.rehearsal else None,
        }

    def method_samples_folder(
        self, name: str, seed: int, evaluation: Evaluation, step: int = 0
    ) -> Path:
        """Return the run folder of a method's samples, or of those of its run at another step."""
        step = step or self.study.methods[name].step
        return self.samples_folder(self.run_folder(name, seed), evaluation, step)

    def last_step(self, name: str, seed: int) -> int:
        """Return the number of optimizer steps of a method's model, after its training."""
        record = self.run_folder(name, seed) / FINISHED_FILE
        finished = read_json(record, "what a finished run wrote")
        return self.study.methods[name].step or int(finished["global_step"])

    def log(self, name: str, seed: int) -> list[dict[str, Any]]:
        """Return the lines that a run logged up to a method's last step; empty before it started."""
        step = self.study.methods[name].step
        lines = read_log(self.run_folder(name, seed) / LOG_FILE)
        return [line for line in lines if not step or line["step"] <= step]

    def samples_folder(self, owner: Path, evaluation: Evaluation, step: int = 0) -> Path:
        """Return the run folder of samples: of a model's last state, or of one of its checkpoints."""
        drawn = {"seed": self.sampling_seed(owner, evaluation)}
        name = _samples_name(evaluation, f"{evaluation.temperature:g}", drawn)
        return owner / "evaluations" / (f"step{step}-{name}" if step else name)

    def tried(self) -> dict[str, str]:
        """Return temperature -> folder of the base's samples at it on the tuning split."""
        tuning = self.study.tuning
        cooled = {t: tuning.at(t) for t in self.study.temperatures} if tuning else {}
        owner = self.base_folder()
        return {f"{t:g}": str(self.samples_folder(owner, e)) for t, e in cooled.items()}

    def cooled_folder(self, evaluation: Evaluation, best: float) -> Path:
        """Return the run folder of the base's samples at its best temperature."""
        if self.study.temperature_curve:
            return self.samples_folder(self.base_folder(), evaluation.at(best))
        return self._best_folder(evaluation)

    def _best_folder(self, evaluation: Evaluation) -> Path:
        """Name a folder after the inputs of the choice of temperature, before the best one is known."""
        tried = {t: Path(folder).name for t, folder in self.tried().items()}
        drawn = {"seed": self.study.sampling_seed, "temperature": tried, "greedy": False}
        return self.base_folder() / "evaluations" / _samples_name(evaluation, "best", drawn)

    def sampling_seed(self, owner: Path, evaluation: Evaluation) -> int:
        """Return the seed of samples: the study's, but the next one for the base's own rows.

        All methods use the same random draws, so their differences are between the methods. The base must
        not use them, unless the study has ``base_draws: shared``: keep and explore shares multiply chances
        of the base and of a method, and this needs independent samples. With shared draws, a
        model near the base (at a lower temperature, or held to it by a divergence) solves and fails
        the same problems as the base.
        """
        is_base = owner == self.base_folder() and evaluation in self.study.evaluations
        return self.study.sampling_seed + (is_base and self.study.base_draws != SHARED)

    def base_temperatures(self) -> tuple[float, ...]:
        """Return the temperatures at which the base is sampled on the reported splits."""
        return self.study.temperatures if self.study.temperature_curve else ()

    def checkpoints(self, name: str) -> tuple[int, ...]:
        """Return the steps of a method that are evaluated besides the last one."""
        last = self.study.methods[name].step or int(self.recipes[name].trainer.max_steps)
        return tuple(sorted(s for s in self.study.methods[name].checkpoints if s != last))

    def temperatures(self, name: str) -> tuple[float, ...]:
        """Return the temperatures at which a method is sampled on the main split, besides its own."""
        own = self.study.main.temperature
        return tuple(sorted(t for t in self.study.methods[name].temperatures if t != own))

    def states(self, name: str) -> Iterator[tuple[str, int, Evaluation]]:
        """Yield what is sampled of each run of a method: kind of model, step (0 for the last), evaluation."""
        own, main = self.study.methods[name].step, self.study.main
        yield from ((END, own, evaluation) for evaluation in self.study.evaluations)
        yield from ((CHECKPOINT, step, main) for step in self.checkpoints(name))
        yield from ((TEMPERATURE, own, main.at(t)) for t in self.temperatures(name))

    # --- jobs -----------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return every job: the base first, then seed after seed, so that all methods progress together."""
        found = [*self.base_jobs()]
        for seed in self.study.seeds:
            for name in self.study.methods:
                found += self.run_jobs(name, seed)
        unique = {job.result: job for job in reversed(found)}
        return [job for job in found if unique[job.result] is job]

    def base_jobs(self) -> Iterator[Job]:
        """Yield the jobs that need no training."""
        study = self.study
        for name in dict.fromkeys(m.rehearsal for m in study.methods.values() if m.rehearsal):
            folder = self.presample_folder(name)
            yield Job(
                name=f"presample {name}",
                function=job_functions.presample,
                arguments={
                    **self._model_arguments(study.base, folder),
                    "presampling": study.presamplings[name],
                },
                result=folder / "manifest.json",
                kind="presample",
            )
        base, tuning = self.base_folder(), []
        for evaluation in study.evaluations:
            yield self._evaluate_job("base", base, evaluation)
        for temperature in study.temperatures:
            label = at_temperature(temperature)
            if study.tuning is not None:
                tuning.append(self._evaluate_job(label, base, study.tuning.at(temperature)))
                yield tuning[-1]
            for evaluation in study.evaluations if study.temperature_curve else ():
                yield self._evaluate_job(label, base, evaluation.at(temperature))
        for evaluation in study.evaluations if tuning and not study.temperature_curve else ():
            without_greedy, after = replace(evaluation, greedy=False), [job.name for job in tuning]
            yield self._evaluate_job(
                f"{BASE} at its best T", base, without_greedy, after=after, at_best=True
            )

    def run_jobs(self, name: str, seed: int) -> Iterator[Job]:
        """Yield the jobs of one training run: the training, and all its evaluations."""
        method, folder = self.study.trained(name), self.run_folder(name, seed)
        train = f"train {method.label}, seed {seed}"
        steps = int(self.recipes[name].trainer.max_steps)
        yield Job(
            name=train,
            function=job_functions.train,
            arguments={
                "recipe": str(self.study.recipe),
                "overrides": self._arguments(name, seed, folder),
            },
            result=folder / FINISHED_FILE,
            after=(f"presample {method.rehearsal}",) if method.rehearsal else (),
            total=max(0, steps),
            done=partial(_steps_done, folder / LOG_FILE),
            kind="train",
        )
        for kind, step, evaluation in self.states(name):
            at = f", step {step}" if step else ""
            at += f", T={evaluation.temperature:g}" if kind == TEMPERATURE else ""
            label = f"{method.label}, seed {seed}{at}"
            yield self._evaluate_job(label, folder, evaluation, step=step, after=[train])

    def _evaluate_job(
        self,
        label: str,
        owner: Path,
        evaluation: Evaluation,
        *,
        step: int = 0,
        after: Sequence[str] = (),
        at_best: bool = False,
    ) -> Job:
        """Return the job that samples a model. ``at_best`` means the base at the best temperature tried."""
        model = str(owner / f"checkpoint-{step}" if step else owner)
        if owner == self.base_folder():
            model = self.study.base
        folder = self.samples_folder(owner, evaluation, step)
        seed = self.sampling_seed(owner, evaluation)
        if at_best:
            folder, seed = self._best_folder(evaluation), self.study.sampling_seed
        return Job(
            name=f"evaluate {label} on {evaluation.split}",
            function=job_functions.evaluate,
            arguments={
                **self._model_arguments(model, folder),
                "evaluation": evaluation,
                "batch_size": self.study.batch_size,
                "seed": seed,
                "tried": self.tried() if at_best else None,
            },
            result=folder / job_functions.EVALUATED,
            after=tuple(after),
            kind=f"evaluate {evaluation.split} {evaluation.size}",
        )

    def _model_arguments(self, model: str, out: Path) -> dict[str, Any]:
        options = dict(self.study.task_options)
        return {
            "model": model,
            "task": self.study.task,
            "task_options": options,
            "out": str(out),
            "device": self.device,
        }

    # --- settings -------------------------------------------------------------------------------

    def _arguments(self, name: str, seed: int, out: Path) -> list[str]:
        method = self.study.trained(name)
        rehearsal_set = self.presample_folder(method.rehearsal) if method.rehearsal else None
        return training_arguments(
            self.study, method, out=out, seed=seed, rehearsal_set=rehearsal_set
        )

    def _presample_identity(self, name: str) -> dict[str, Any]:
        presampling = self.study.presamplings[name]
        settings = {k: v for k, v in asdict(presampling.settings).items() if k != "batch_size"}
        for (
            name,
            value,
        ) in ADDED_LATER.items():  # folders made before the setting existed stay where they are
            if settings[name] == value:
                del settings[name]
        where = {"split": presampling.split, "limit": presampling.limit}
        return {**self._base_identity, **where, **settings}

    def _refuse_training_splits(self) -> None:
        study = self.study
        trained = {str(recipe.task.task_split) for recipe in self.recipes.values()}
        trained |= {presampling.split for presampling in study.presamplings.values()}
        for split in sorted(trained):
            if is_test(split):
                raise ConfigError(f"The study would train on the test split {split!r}. Use train.")
            if any(e.split == split for e in (*study.evaluations, study.tuning) if e):
                raise ConfigError(
                    f"The study would measure on the split {split!r}, on which it trains. Use a "
                    "held-out split."
                )


def _steps_done(log: Path) -> int:
    lines = read_log(log)
    return int(lines[-1]["step"]) if lines else 0


def _samples_name(evaluation: Evaluation, temperature: str, drawn: Mapping[str, Any]) -> str:
    """Name a folder of samples after how they are drawn; ``drawn`` overrides the evaluation's values."""
    digits = _short_hash({**evaluation.drawn, **drawn})
    return f"{evaluation.split}-{evaluation.size}-T{temperature}-{digits}"


# --- what distinguishes results: settings and weights, hashed into folder names ----------------------


def _plain(value: Any) -> Any:
    """Return a setting in a form in which 1 from YAML equals "1" from an override.

    A place in a Python file becomes the file's name and hash: an edited file is another method, and a moved
    one the same.
    """
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in sorted(value.items())}
    if isinstance(value, list):
        return " ".join(str(_plain(v)) for v in value)
    if isinstance(value, str) and ".py:" in value:
        file, _, name = value.rpartition(":")
        if Path(file).is_file():
            content = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
            return f"{Path(file).name}:{name} {content}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short_hash(identity: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that stand for an identity."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _fingerprint(folder: Path) -> str:
    """Return a hash that differs for a model folder with other weights; empty for a hub name."""
    if not folder.is_dir():
        return ""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.json")])
    digest = hashlib.sha256()
    whole = sum(file.stat().st_size for file in files) <= SMALL_BASE
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}".encode())
        if whole:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
