"""A user's own similarity function: where it is found, and what it may return."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.similarity import get_similarity
from tests.refusals import refused
from tests.similarity.strategies import rows_of


def same_text(texts_P_G):
    return np.array([[[float(a == b) for b in group] for a in group] for group in texts_P_G])


def run(function, token_ids=((1,), (1,), (2,), (3,)), size=2):
    similarity = get_similarity(function)
    return similarity.matrix(similarity.features(rows_of([list(t) for t in token_ids])), size)


def test_numpy_result_is_used():
    expected = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]).double()
    assert_close(run(same_text), expected)


def test_rounding_noise_is_removed():
    noisy = torch.tensor([[1.0001, 0.5], [0.5002, 0.9999]])
    s_G_G = run(lambda texts: noisy.expand(len(texts), 2, 2))[0]
    assert_close(s_G_G, torch.tensor([[1.0, 0.5001], [0.5001, 1.0]]).double())


def test_rows_of_empty_texts_are_overwritten_whatever_the_function_says():
    unusable = np.array([[[np.nan, np.nan], [np.nan, 1.0]]])
    s_G_G = run(lambda _: unusable, token_ids=((), (1,)))
    assert_close(s_G_G[0], torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("matrix", "facts"),
    [
        ([[1.0, np.nan], [np.nan, 1.0]], ((0, 0, 1), "nan")),
        ([[1.0, 3.0], [3.0, 1.0]], ((0, 0, 1), 3)),
        ([[1.0, 0.2], [0.3, 1.0]], ((0, 0, 1), 0.2)),
        ([[0.0, 1.0], [1.0, 0.0]], ((0, 0, 0), 0)),
    ],
)
def test_what_is_no_similarity_is_refused(matrix, facts):
    with refused(DataError, *facts):
        run(lambda texts: np.array([matrix] * len(texts)))


def test_wrong_shape_names_both_shapes():
    with refused(ShapeError, (2, 2, 2), (4, 4)):
        run(lambda _: torch.eye(4))


def test_wrong_type_is_refused():
    with refused(DataError, "list"):
        run(lambda _: [[1.0]])


def test_function_is_found_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\ndef ones(t): return np.ones((len(t), 2, 2))\n")
    assert (run(f"{file}:ones") == 1).all()


def test_a_file_that_fails_to_import_is_named(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0\n")
    with refused(ConfigError, "broken.py", "ZeroDivisionError"):
        get_similarity(f"{file}:f")
