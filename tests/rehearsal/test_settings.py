import pytest

from polypath.errors import ConfigError
from polypath.rehearsal import PresampleSettings
from tests.refusals import refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 0),
        ("threshold", 9),
        ("threshold", 0),
        ("confirm", -1),
        ("answers_per_problem", 0),
        ("hopeless", "dropp"),
        ("failed_confirm", "keep"),
        ("repeated_answers", "dropp"),
        ("truncated", "yes"),
        ("precision", "fp32"),
        ("temperature", 0.0),
        ("max_new_tokens", 0),
    ],
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    with refused(ConfigError, name, value):
        PresampleSettings(**{name: value})  # type: ignore[arg-type]


def test_the_sampling_part_is_taken_over() -> None:
    settings = PresampleSettings(temperature=0.7, top_p=0.9, top_k=0, seed=3, batch_size=2)
    sampling = settings.sampling(10)
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.7, 0.9, None)
    assert (sampling.seed, sampling.batch_size, sampling.max_new_tokens) == (3, 2, 10)


def test_the_nearest_choice_is_named() -> None:
    with refused(ConfigError, "hopeless", "dropp", "'drop'"):
        PresampleSettings(hopeless="dropp")
