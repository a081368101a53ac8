"""What ``benchmarks/gpu.py`` trains: random Llamas on the device, and a trainer per method.

All trainers of a size share one model and one optimizer, so that a billion parameters fit however
many methods there are. The learning rate is 0: the same work, and every step starts from the same
weights. Completions are made up (a text per prompt, a tenth of its words replaced in every completion),
so that a step is timed without generation.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from datasets import Dataset
from training_arms import ARMS, SPECIAL, STOCK, Sums, coin, embedding_model, word_level
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import grpo_trainer

from polypath import DiversityGRPOConfig, DiversityGRPOTrainer
from polypath.engines.trl import completion_logps
from polypath.rehearsal import dataset
from polypath.rehearsal.manifest import RehearsalManifest
from polypath.rehearsal.settings import PresampleSettings
from polypath.sampling.fingerprint import (
    model_fingerprint,
    template_fingerprint,
    tokenizer_fingerprint,
)

GROUP = 8
MINILM = {"hidden": 384, "layers": 6, "heads": 12, "inner": 1536, "words": 30522, "tokens": 256}
# The only arm that holds a second model comes last, so that no other is timed beside it.
# On a GPU embeddings are in bfloat16 anyway.
ORDER = [
    *(arm for arm in ARMS if arm not in ("TRL beta", "dra, MiniLM in bfloat16")),
    "TRL beta",
]
assert STOCK in ORDER


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of a model, and of the step it is trained by."""

    hidden: int
    layers: int
    inner: int
    vocabulary: int
    completions: int = 64
    length: int = 256


SIZES = {
    "tiny": Size(hidden=64, layers=2, inner=128, vocabulary=1007, completions=16, length=16),
    "0.1b": Size(hidden=768, layers=12, inner=2048, vocabulary=32_000),
    "0.35b": Size(hidden=1024, layers=24, inner=2816, vocabulary=32_000),
    "0.35b-128k": Size(hidden=1024, layers=24, inner=2816, vocabulary=128_000),
    "1b": Size(hidden=2048, layers=18, inner=5504, vocabulary=32_000),
}


def minilm(folder: Path) -> tuple[str, str]:
    """Return all-MiniLM-L6-v2 where it is installed, else random weights of its shape; and which."""
    found = embedding_model()
    if found is not None:
        return found, "all-MiniLM-L6-v2"
    from transformers import BertConfig, BertModel

    words = MINILM["words"]
    config = BertConfig(
        vocab_size=words,
        hidden_size=MINILM["hidden"],
        num_hidden_layers=MINILM["layers"],
        num_attention_heads=MINILM["heads"],
        intermediate_size=MINILM["inner"],
        max_position_embeddings=512,
    )
    BertModel(config).save_pretrained(folder)
    numbers = map(str, range(words - len(SPECIAL)))
    word_level([*SPECIAL, *numbers]).save_pretrained(folder)
    return str(folder), "random weights in the shape of all-MiniLM-L6-v2"


class World:
    """A model, its tokenizer, optimizer and rehearsal set, shared by the trainers of one size."""

    def __init__(self, size: Size, device: torch.device, folder: Path, checkpointing: bool) -> None:
        self.size, self.device, self.folder = size, device, folder
        self.checkpointing = checkpointing
        self.bf16 = device.type == "cuda"
        words = [*SPECIAL, *map(str, range(size.vocabulary - len(SPECIAL)))]
        self.tokenizer = word_level(words)
        self.prompts = [problem.prompt for problem in Sums(0.5).problems("train")]
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=size.vocabulary,
            hidden_size=size.hidden,
            intermediate_size=size.inner,
            num_hidden_layers=size.layers,
            num_attention_heads=size.hidden // 64,
            num_key_value_heads=size.hidden // 64,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        with device:
            self.model = LlamaForCausalLM(config)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.model_bytes = sum(p.numel() * p.element_size() for p in self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=0.0, weight_decay=0.0, fused=device.type == "cuda"
        )
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()  # makes the moments, so that every step of every arm finds them
        self.optimizer.zero_grad(set_to_none=True)
        self.embedding, self.embedding_name = minilm(folder / "minilm")
        self.rehearsal = folder / "set"
        self._save_rehearsal()

    def completions(self, rows: int, seed: int) -> list[list[int]]:
        """Return rows in groups: a text each, a tenth of whose words are replaced in every row."""
        generator = torch.Generator().manual_seed(seed)
        shape = (-(-rows // GROUP), GROUP, self.size.length)
        low, high = len(SPECIAL), self.size.vocabulary
        base = torch.randint(low, high, (shape[0], 1, shape[2]), generator=generator)
        other = torch.randint(low, high, shape, generator=generator)
        replaced = torch.rand(shape, generator=generator) < 0.1
        made: list[list[int]] = torch.where(replaced, other, base).flatten(0, 1)[:rows].tolist()
        return made

    def score(self, rows: list[list[int]], batch_size: int) -> list[torch.Tensor]:
        """Return reference log-probs as ``polypath presample`` computes them."""
        prompts = self.tokenizer(self.prompts)["input_ids"]
        return completion_logps(
            copy.copy(self.model),
            [prompts[i % len(prompts)] for i in range(len(rows))],
            rows,
            temperature=1.0,
            pad_token_id=0,
            batch_size=batch_size,
            autocast=torch.bfloat16 if self.bf16 else None,
        )

    def _save_rehearsal(self) -> None:
        """Write a rehearsal set of made-up answers, as many as a step has completions."""
        rows = self.completions(self.size.completions, seed=1_000_000)
        prompts = self.tokenizer(self.prompts)["input_ids"]
        prompts = [prompts[i % len(prompts)] for i in range(len(rows))]
        logps = self.score(rows, len(rows))
        self.rehearsal.mkdir(parents=True)
        files = {
            dataset.TENSORS_NAME: dataset.write_tensors(self.rehearsal, prompts, rows, logps),
            dataset.PARTITION_NAME: dataset.write_partition(self.rehearsal, []),
        }
        manifest = RehearsalManifest(
            model="random",
            model_fingerprint=model_fingerprint(self.model),
            tokenizer_fingerprint=tokenizer_fingerprint(self.tokenizer),
            template_fingerprint=template_fingerprint(self.tokenizer),
            temperature=1.0,
            precision="bf16-mixed" if self.bf16 else "float32",
            task="sums",
            split="train",
            problems_key="",
            settings=asdict(PresampleSettings()),
            counts={},
            histogram=[],
            num_rows=len(rows),
            num_tokens=sum(map(len, rows)),
            files=files,
        )
        manifest.write(self.rehearsal / dataset.MANIFEST_NAME)

    def trainer(self, arm: str, steps: int, *, generating: bool = False) -> Any:
        """Return the trainer of an arm, about to do at most so many steps."""
        options = dict(ARMS[arm])
        stock = options.pop("stock", False)
        if "rehearsal_coef" in options:
            options.update(rehearsal_set=str(self.rehearsal), rehearsal_explore_only=False)
        if not stock:
            options["solution_fn"] = "text"
        if options.get("similarity") == "embedding":
            options.update(embedding_model=self.embedding, embedding_max_tokens=MINILM["tokens"])
        config = (GRPOConfig if stock else DiversityGRPOConfig)(
            output_dir=str(self.folder / "run"),
            per_device_train_batch_size=self.size.completions,
            num_generations=GROUP,
            max_completion_length=self.size.length,
            generation_kwargs={"min_new_tokens": self.size.length},
            max_steps=steps,
            learning_rate=0.0,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=self.device.type == "cpu",
            bf16=self.bf16,
            gradient_checkpointing=self.checkpointing,
            **options,
        )
        twin = copy.copy(self.model)  # the same parameters; what trainers hang on it is their own
        with self._reference(options):
            trainer = (GRPOTrainer if stock else DiversityGRPOTrainer)(
                model=twin,
                reward_funcs=coin,
                args=config,
                train_dataset=Dataset.from_list([{"prompt": text} for text in self.prompts]),
                processing_class=self.tokenizer,
                optimizers=(self.optimizer, None),
            )
        trainer.remove_callback(PrinterCallback)
        if not generating:

            def made_up(prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
                return self.completions(len(prompt_ids), trainer.state.global_step), None

            trainer._generate_single_turn = made_up
        return trainer

    def _reference(self, options: dict[str, Any]) -> AbstractContextManager[Any]:
        """Let TRL take its reference model from memory, where it would read it from a file."""
        if not options.get("beta"):
            return nullcontext()
        reference = copy.deepcopy(self.model)
        return mock.patch.object(grpo_trainer, "create_model_from_path", return_value=reference)
