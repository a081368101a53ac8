import pytest

from polypath.errors import ConfigError
from polypath.rehearsal import PresampleSettings


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"threshold": 9}, r"must be in 1\.\.8, got 9"),
        ({"threshold": 0}, r"must be in 1\.\.8, got 0"),
        ({"confirm": -1}, "confirm must be at least 0, got -1"),
        ({"answers_per_problem": 0}, "answers_per_problem must be at least 1, got 0"),
        ({"hopeless": "dropp"}, "Unknown hopeless 'dropp'. Did you mean 'drop'"),
        ({"failed_confirm": "keep"}, "Unknown failed_confirm 'keep'"),
        ({"repeated_answers": "dropp"}, "Unknown repeated_answers 'dropp'. Did you mean 'drop'"),
        ({"truncated": "yes"}, "Unknown truncated 'yes'"),
        ({"precision": "fp32"}, "Unknown precision 'fp32'"),
        ({"temperature": 0.0}, r"temperature must be above 0, got 0\.0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        PresampleSettings(**change)  # type: ignore[arg-type]


def test_the_sampling_part_is_taken_over() -> None:
    settings = PresampleSettings(temperature=0.7, top_p=0.9, top_k=0, seed=3, batch_size=2)
    sampling = settings.sampling(10)
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.7, 0.9, None)
    assert (sampling.seed, sampling.batch_size, sampling.max_new_tokens) == (3, 2, 10)
