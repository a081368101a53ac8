"""Run a recipe: build the data, the rewards and the trainer; train; resume where a run was killed."""

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import transformers
from accelerate import PartialState
from safetensors import SafetensorError
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils.hub import cached_file
from trl import get_peft_config, get_quantization_config
from trl.trainer import utils as trl_utils

from polypath.core.given import own_errors
from polypath.engines.trl import CollapseMonitor, DiversityGRPOTrainer
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts.files import read_json, write_json
from polypath.rollouts.locks import WHOLE, WriterLock
from polypath.sampling.fingerprint import weight_hashes
from polypath.sampling.model_files import model_blamed, model_errors, weights_fault
from polypath.tasks.shipped import SHIPPED_MODELS, shipped_model
from polypath.terminal import Terminal
from polypath.train.auto_rehearsal import make_rehearsal_set
from polypath.train.callbacks import LOG_FILE, Loaded, LogFile, MarkComplete, StopWhenLoaded
from polypath.train.checkpoints import choose_checkpoint, unmark_after
from polypath.train.config import Recipe
from polypath.train.machine import check_machine
from polypath.train.processes import on_main
from polypath.train.record import FINISHED_FILE, check_record, write_record
from polypath.train.sources import load_datasets, load_rewards, monitor_probe

PATIENCE = 2.0  # seconds until a folder that is in use is refused
LOCK_FILE = "_lock"  # names the process that runs; by its name no part of a model that is uploaded


def run(recipe: Recipe, *, progress: Callable[[str], None] | None = None) -> Path:
    """Train as the recipe says, from the last complete checkpoint in its ``output_dir`` if there is one.

    A run that is killed at any moment and started again ends with the parameters of an uninterrupted run
    (bit for bit, if ``save_steps`` ends a generation cycle). A finished run is not repeated.

    Args:
        recipe: recipe from ``load_recipe``.
        progress: called with a line on what happens; by default it is printed. Only on the main process.

    Returns:
        The output folder: the trained model, ``log.jsonl``, ``run.json`` and the checkpoints.

    Raises:
        ConfigError: ``output_dir`` holds a run with other settings, or another process runs there; or the
            settings do not fit.
        DataError: the newest checkpoint is damaged; an older intact one is named.
        MissingFileError: model, data set or rehearsal set cannot be found.
    """
    folder = Path(recipe.trainer.output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output_dir {folder} is a file. Name a folder, existing or new.")
    main = recipe.trainer.process_index == 0
    say = progress or Terminal().out
    trl_utils.Console = Terminal  # log_completions prints foreign text through it

    def tell(message: str) -> None:
        if main:
            say(message)

    check_machine(recipe)
    with _alone(folder):
        check_record(folder, recipe, tell)
        fault = on_main(lambda: _finished_fault(folder))
        if fault is None:
            tell(f"{folder} is already finished. Choose another output_dir to run again.")
            return folder
        if fault:
            tell(f"{folder / FINISHED_FILE} is ignored: {fault}.")
        asked = recipe.trainer.resume_from_checkpoint
        named = asked and str(asked).lower() not in ("true", "false")
        checkpoint, note = on_main(
            lambda: choose_checkpoint(folder, Path(str(asked)) if named else None)
        )
        model = resolve_model(recipe.model.model_name_or_path)
        make_rehearsal_set(recipe, model)
        trainer = build_trainer(recipe)
        if main:
            (folder / FINISHED_FILE).unlink(missing_ok=True)
            write_record(folder, recipe)
        if checkpoint is not None and _take_last_step(trainer, checkpoint):
            tell(f"{note}All steps were done in {checkpoint}.")
        else:
            if checkpoint is not None:
                tell(f"{note}Resuming from {checkpoint}.")
                on_main(lambda: unmark_after(checkpoint, folder))
            elif note:
                tell(f"{note}Starting anew.")
            with _saving(folder), model_blamed(model):
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        with _saving(folder):
            trainer.save_model(str(folder))
        trainer.accelerator.wait_for_everyone()
        if main:
            finished = {"global_step": trainer.state.global_step, "weights": weight_hashes(folder)}
            write_json(folder / FINISHED_FILE, finished)
        if recipe.trainer.push_to_hub:
            trainer.push_to_hub()
        tell(f"Trained {trainer.state.global_step} steps; the model is in {folder}.")
    return folder


def build_trainer(recipe: Recipe) -> DiversityGRPOTrainer:
    """Build the trainer of a recipe, ready to train."""
    config, model = recipe.trainer, recipe.model
    path = resolve_model(model.model_name_or_path)
    config.model_init_kwargs = {
        "revision": model.model_revision,
        "trust_remote_code": config.trust_remote_code,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(config.model_init_kwargs or {}),
    }
    if config.save_total_limit == 1:
        # The old checkpoint is deleted before the new one is marked complete. A kill in between would
        # leave none to resume from.
        config.save_total_limit = 2
    train, evaluation = load_datasets(recipe)
    rewards = load_rewards(recipe.task, recipe.trainer.max_completion_length)
    if recipe.task.task is not None:
        rewards[0].task.verify(
            "", train[0]["gold"]
        )  # before the model loads, because it may need a package
    # TRL draws the adapters of LoRA before it sets the seed.
    transformers.set_seed(config.seed)
    probe = monitor_probe(recipe.task)
    with own_errors():  # of the code that reads the settings of quantization and adapters
        trainer = DiversityGRPOTrainer(
            model=path,
            reward_funcs=rewards,
            args=config,
            train_dataset=train,
            processing_class=_tokenizer(recipe, path),
            eval_dataset=evaluation,
            quantization_config=get_quantization_config(model),
            peft_config=get_peft_config(model),
            callbacks=[LogFile(Path(config.output_dir) / LOG_FILE), MarkComplete()],
        )
    if probe is not None:
        samples = recipe.task.monitor_samples
        ks = sorted({1, min(4, samples), samples})
        every = recipe.task.monitor_every
        trainer.add_callback(
            CollapseMonitor(trainer, *probe, num_samples=samples, every=every, ks=ks)
        )
    return trainer


def _tokenizer(recipe: Recipe, path: str) -> Any:
    """Return the model's tokenizer with the recipe's chat template; ``None`` if it names none."""
    template = recipe.task.chat_template
    if template is None:
        return None
    if "{" not in template:
        if not Path(template).is_file():
            raise MissingFileError(f"chat_template {template!r} is neither Jinja text nor a file.")
        template = Path(template).read_text(encoding="utf-8")
    with own_errors(), model_errors(path):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            path,
            revision=recipe.model.model_revision,
            trust_remote_code=recipe.trainer.trust_remote_code,
            truncation_side="left",
            padding_side="left",
        )
    tokenizer.chat_template = template
    return tokenizer


def resolve_model(name: str | None) -> str:
    """Return a folder or hub id that ``from_pretrained`` can load.

    Models that ship with polypath (``polypath.tasks.shipped``) are known by name.

    Raises:
        MissingFileError: the named folder does not exist or contains no model.
        ConfigError: no model was named.
    """
    if not name:
        raise ConfigError("model_name_or_path is missing: which model should be trained?")
    name = shipped_model(name)
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise MissingFileError(
                f"Model folder {path} has no config.json. Name a folder written by save_pretrained."
            )
        return name
    try:
        cached_file(name, "config.json")
    except (OSError, ValueError) as error:
        raise MissingFileError(
            f"Model {name} is neither an existing folder nor found on the hub or in its cache. Name "
            "a folder written by save_pretrained, a hub id ('organisation/model'), or one that ships "
            f"with polypath: {', '.join(SHIPPED_MODELS)}."
        ) from error
    return name


@contextlib.contextmanager
def _saving(folder: Path) -> Iterator[None]:
    """Raise OSError for the errors of torch and safetensors when they cannot write a checkpoint."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        if not re.search(
            "PytorchStreamWriter|inline_container|Error while serializing", str(error)
        ):
            raise
        raise OSError(errno.EIO, f"not all could be written ({error})", str(folder)) from error


# --- the records of a run -----------------------------------------------------------------------------


def _lock(folder: Path) -> WriterLock:
    """Take the lock of a folder. A process of a run that was just killed may hold it a moment longer."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return WriterLock(folder, WHOLE, name=LOCK_FILE)
        except ConfigError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other run write to the folder. The main process holds a lock as long as it lives."""
    with contextlib.ExitStack() as held:

        def hold() -> None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(_lock(folder))
            except OSError as error:
                raise ConfigError(f"output_dir {folder} cannot be written to: {error}.") from error

        on_main(hold)
        yield


def _finished_fault(folder: Path) -> str | None:
    """Return why a run is not finished: empty if it does not claim to be, else what is wrong with it."""
    if not (folder / FINISHED_FILE).is_file():
        return ""
    try:
        finished = read_json(folder / FINISHED_FILE, "what a finished run wrote")
        int(finished["global_step"])
    except (DataError, KeyError, TypeError, ValueError):
        return "it cannot be read"
    now = weight_hashes(folder)
    for name, was in finished.get("weights", {}).items():
        if now.get(name, was) != was:
            return f"{name} has other bytes than were written (by its SHA-256)"
    return weights_fault(folder)


def _take_last_step(trainer: DiversityGRPOTrainer, checkpoint: Path) -> bool:
    """Load the checkpoint of a run's last step. Return False, with nothing loaded, if steps remain.

    ``train`` would take one step too many, because it checks for the end only after a step. But only it
    wraps a model in DeepSpeed or FSDP and loads their checkpoints, so there it is stopped after that.
    """
    state = transformers.TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    if state.global_step < state.max_steps:
        return False
    average = trainer.weight_average
    if average is not None:
        average.checkpoint = checkpoint
        average.on_train_begin(trainer.args, state, trainer.control, model=trainer.model)
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        trainer.callback_handler.callbacks.insert(0, StopWhenLoaded())  # before those that log
        with contextlib.suppress(Loaded):
            trainer.train(resume_from_checkpoint=str(checkpoint))
    else:
        trainer._load_from_checkpoint(str(checkpoint))
        trainer.state = state
    if average is not None:
        average.on_train_end(trainer.args, state, trainer.control, model=trainer.model)
    return True


def leave_process_group() -> None:
    """Wait for the other processes, then end the process group; alone, do nothing.

    A process that just exits can close its connections while another still reads from them. The
    launcher then reports a run as failed although all its results are written. Call this last, in every
    process: nothing that needs the others works afterwards.
    """
    state = PartialState()
    if state.num_processes > 1:
        state.wait_for_everyone()
        state.destroy_process_group()
