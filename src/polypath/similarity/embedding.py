"""Similarity by a sentence-embedding model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polypath.errors import ConfigError, MissingExtraError, unknown_name
from polypath.similarity.base import Completions, as_tensor
from polypath.similarity.cosine import cosine_matrix, unit_rows
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ("auto", "float32", "bfloat16", "float16")


class EmbeddingSimilarity:
    """Cosine of sentence embeddings of two completions.

    Chen 2025, "DRA-GRPO", arXiv:2505.09655, section 3.2. In [-1, 1]. Completions of one prompt
    share topic and style, so their cosines are usually high and close together.

    Differs from the authors' code (xiwenc1/DRA-GRPO@0882661, grpo_trainer.py:679-698):
        1. A process embeds its own rows, and cosines are taken within whole groups. There, they are
           taken over the rows of one process, which may cut a group or mix prompts.
        2. Any sentence-transformers model on any device. There, two models on the first GPU.
        3. An empty completion resembles nothing but itself. There, the empty text is embedded.

    Args:
        model: name or folder of a sentence-transformers model.
        batch_size: texts embedded at once.
        max_tokens: longer texts are cut to this many tokens of the embedding model; None keeps the
            model's own limit, which is often short (256 for all-MiniLM-L6-v2).
        device: such as "cpu" or "cuda:1"; None uses the current GPU if there is one.
        dtype: what the model computes in: "float32", "bfloat16" or "float16"; "auto" is bfloat16 on
            a GPU and float32 elsewhere. bfloat16 moves cosines of MiniLM by up to 0.003 and halves
            its time, on CPUs that compute in it too; on others it is many times slower.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ConfigError: the model cannot be loaded, or a setting is out of range.
    """

    def __init__(
        self,
        *,
        model: str,
        batch_size: int = 32,
        max_tokens: int | None = None,
        device: str | None = None,
        dtype: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        if dtype not in DTYPES:
            raise unknown_name("embedding_dtype", dtype, DTYPES)
        if batch_size < 1 or (max_tokens is not None and max_tokens < 1):
            raise ConfigError(
                "embedding similarity: batch_size and max_tokens must be at least 1, "
                f"got {batch_size} and {max_tokens}."
            )
        self.model_name = model
        self.batch_size = batch_size
        self._model = _load(model, device, trust_remote_code)
        self._model.to(_torch_dtype(dtype, self._model.device))
        if max_tokens is not None:
            self._model.max_seq_length = max_tokens

    def features(self, rows: Completions) -> Tensor:
        """Return unit vectors ``(B, D)`` in float32; an empty text gets the zero vector.

        Equal texts are embedded once, so theirs are equal to the last bit.
        """
        empty = [not text.strip() for text in rows.texts]
        places = {text: place for place, text in enumerate(dict.fromkeys(rows.texts))}
        encoded_U_D: Tensor = self._model.encode(
            list(places) or [""],  # one text at least, so that no rows still have the right width
            batch_size=self.batch_size,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        encoded_B_D = encoded_U_D[[places[text] for text in rows.texts]]
        return unit_rows(encoded_B_D, empty, f"Embedding model {self.model_name!r}")

    def matrix(self, features: Tensor | list[Any], group_size: int) -> Tensor:
        """Return ``similarity_P_G_G`` on the features' device. See ``Similarity.matrix``."""
        return cosine_matrix(as_tensor(features), group_size)


def _torch_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    found: torch.dtype = getattr(torch, dtype)
    return found


def _load(model: str, device: str | None, trust_remote_code: bool) -> Any:
    """Load the model without touching the random state that training resumes from."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError(
            "The embedding similarity needs sentence-transformers, which is not installed. "
            "Run: pip install 'polypath[embedding]'"
        ) from error
    # A model folder that lacks a weight gets a random one.
    with torch.random.fork_rng():
        try:
            return SentenceTransformer(model, device=device, trust_remote_code=trust_remote_code)
        except Exception as error:  # whatever the hub, the file reader or the device raises
            if "trust_remote_code" in str(error):
                raise ConfigError(
                    f"embedding similarity: the model {model!r} brings code of its own, which is not "
                    "run unless you allow it. Read that code, then add to the recipe: "
                    "trust_remote_code: true. Or choose another embedding_model."
                ) from None
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(
                f"embedding similarity: cannot load model {model!r} ({reason}). "
                "Give a sentence-transformers name, or a folder that holds one."
            ) from error
