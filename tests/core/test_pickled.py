"""Settings are written without their keys, and keep them in memory."""

import copy
import pickle

from polypath.engines.trl import DiversityGRPOConfig

KEY = "SeCr3tV4lue99"


def test_a_pickle_has_no_key_and_a_copy_has_it() -> None:
    config = DiversityGRPOConfig(
        "out", hub_token=KEY, model_init_kwargs={"token": KEY, "revision": "x"}, bf16=False
    )
    written = pickle.dumps(config)
    assert KEY.encode() not in written
    read = pickle.loads(written)
    assert (read.learning_rate, read.model_init_kwargs["revision"]) == (config.learning_rate, "x")
    for copied in (copy.copy(config), copy.deepcopy(config), config):
        assert copied.hub_token == copied.model_init_kwargs["token"] == KEY
