"""Settings of ``polypath train`` that belong to no method; read for help and plans without TRL."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TaskSettings:
    """What to train on, what to watch, and where the user's own methods are."""

    preset: str | None = field(
        default=None,
        metadata={
            "help": "Several settings under one name: balanced or diverse. Settings that you "
            "give yourself override it."
        },
    )
    objectives: list[str] | None = field(
        default=None,
        metadata={
            "help": "Your own methods: path/to/file.py:entry or module:entry. You can then also give their "
            "settings."
        },
    )
    task: str | None = field(
        default=None,
        metadata={
            "help": "Task to train on: prompts, gold answers and reward in one. `polypath tasks` lists them."
        },
    )
    task_split: str = field(default="train", metadata={"help": "Split of the task to train on."})
    task_limit: int = field(
        default=0, metadata={"help": "Number of problems to train on, from the first; 0 is all."}
    )
    task_options: list[str] | None = field(
        default=None, metadata={"help": "Options of the task: KEY=VALUE KEY=VALUE ..."}
    )
    monitor_every: int = field(
        default=0,
        metadata={
            "help": "Steps between two probes of CollapseMonitor on held-out problems; 0 is off."
        },
    )
    monitor_task: str | None = field(
        default=None, metadata={"help": "Task of the monitor's problems. Unset: as task."}
    )
    monitor_split: str | None = field(
        default=None,
        metadata={
            "help": "Split of the monitor's problems. Unset: dev if there is one, else the last."
        },
    )
    monitor_problems: int = field(default=64, metadata={"help": "Problems in each probe."})
    monitor_samples: int = field(
        default=16, metadata={"help": "Samples per problem in each probe, at least 2."}
    )
    task_timeout_reward: Literal["zero", "none"] = field(
        default="zero",
        metadata={
            "help": "Reward of a completion whose check timed out: zero, or none, which leaves "
            "the completion out."
        },
    )
    dataset_prompt_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of dataset_name that holds the user's message; auto takes the first of prompt, "
            "problem and question. Unset: the column prompt, as it is, or as the user's message "
            "if there is a system_prompt."
        },
    )
    system_prompt: str | None = field(
        default=None,
        metadata={"help": "System message that is put before every prompt of dataset_name."},
    )
    chat_template: str | None = field(
        default=None,
        metadata={
            "help": "Chat template in place of the tokenizer's: a file, or the Jinja text itself."
        },
    )
    reward_options: list[str] | None = field(
        default=None,
        metadata={"help": "Options of the reward functions: KEY=VALUE KEY=VALUE ..."},
    )
