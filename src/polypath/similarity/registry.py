"""Similarities by name. To add one: write the file, add its line here, add its test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from polypath.errors import ConfigError, unknown_name
from polypath.settings import check_settings, setting
from polypath.similarity.answer import AnswerSimilarity
from polypath.similarity.base import Similarity
from polypath.similarity.custom import CustomSimilarity, SimilarityFunction
from polypath.similarity.embedding import EmbeddingSimilarity
from polypath.similarity.policy import PolicySimilarity
from polypath.user_code import load_function


@dataclass(frozen=True, kw_only=True)
class SimilarityConfig:
    """Settings of all similarities; each reads its own.

    Attributes:
        ignored_token_ids: ``ngram``: token ids that are no content: the tokenizer's special ids.
        embedding_device: ``embedding``: such as "cpu"; None uses the current GPU if there is one.
        embedding_trust_remote_code: ``embedding``: allow a model that ships code to run it.

    Raises:
        ConfigError: a setting is out of range.
    """

    ngram_max: int = setting(
        3,
        "similarity ngram: longest n-gram in tokens, at least 1.",
        key="similarity_ngram_max",
        within="[1, inf)",
    )
    embedding_model: str = setting(
        "sentence-transformers/all-MiniLM-L6-v2",
        "similarity embedding: name or folder of a sentence-transformers model.",
    )
    embedding_batch_size: int = setting(
        32, "similarity embedding: texts embedded at once, at least 1.", within="[1, inf)"
    )
    embedding_max_tokens: int | None = setting(
        None,
        "similarity embedding: texts are cut to this many tokens; unset keeps the model's own limit "
        "(256 for the default model).",
        within="[1, inf)",
    )
    embedding_dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "similarity embedding: float32, bfloat16, float16, or auto: bfloat16 on a GPU, float32 elsewhere.",
    )
    # Not settings of a run: the engine knows them.
    ignored_token_ids: tuple[int, ...] = ()
    embedding_device: str | None = None
    embedding_trust_remote_code: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


def _ngram(config: SimilarityConfig) -> Similarity:
    # Here, because scipy takes a quarter of a second: settings and help are read without it.
    from polypath.similarity.ngram import NgramSimilarity

    return NgramSimilarity(max_n=config.ngram_max, ignored_ids=config.ignored_token_ids)


def _embedding(config: SimilarityConfig) -> Similarity:
    return EmbeddingSimilarity(
        model=config.embedding_model,
        batch_size=config.embedding_batch_size,
        max_tokens=config.embedding_max_tokens,
        device=config.embedding_device,
        dtype=config.embedding_dtype,
        trust_remote_code=config.embedding_trust_remote_code,
    )


SIMILARITIES: dict[str, Callable[[SimilarityConfig], Similarity]] = {
    "ngram": _ngram,
    "answer": lambda _: AnswerSimilarity(),
    "embedding": _embedding,
    "policy": lambda _: PolicySimilarity(),
}


def get_similarity(
    similarity: str | SimilarityFunction, config: SimilarityConfig | None = None
) -> Similarity:
    """Build a similarity from a name, a function, or where to find a function.

    Args:
        similarity: a key of ``SIMILARITIES``; or ``"module:function"`` or ``"file.py:function"``;
            or a function ``(texts_P_G) -> similarity_P_G_G``.
        config: settings; None is all defaults. A function has none.

    Raises:
        ConfigError: no such name or function, or a model that cannot be loaded.
        MissingFileError: the function's file does not exist.
        MissingExtraError: ``embedding`` without sentence-transformers.
    """
    check_similarity(similarity)
    if not isinstance(similarity, str):
        return CustomSimilarity(similarity)
    if similarity in SIMILARITIES:
        return SIMILARITIES[similarity](config or SimilarityConfig())
    return CustomSimilarity(load_function(similarity, "Similarity"))


def check_similarity(similarity: Any) -> None:
    """Check what ``get_similarity`` takes, without loading anything.

    Raises:
        ConfigError: no such name, or neither a text nor a function.
    """
    if not (isinstance(similarity, str) or callable(similarity)):
        raise ConfigError(
            "similarity must be a name, 'module:function' or a function, "
            f"got {type(similarity).__name__}."
        )
    if isinstance(similarity, str) and similarity not in SIMILARITIES and ":" not in similarity:
        raise unknown_name("similarity", similarity, SIMILARITIES)
