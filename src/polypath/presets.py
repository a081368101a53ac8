"""Settings that work well together, under one name: ``preset: balanced`` in a recipe."""

from types import MappingProxyType
from typing import Any

from polypath.errors import unknown_name

PRESETS: MappingProxyType[str, MappingProxyType[str, Any]] = MappingProxyType(
    {
        "balanced": MappingProxyType(
            {
                "dra": True,
                "similarity": "answer",
                "dra_among": "rewarded",
                "dra_weight_norm": "protected",
                "average_weights_from": 0.5,
            }
        ),
    }
)


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset, as keyword arguments of ``DiversityGRPOConfig``.

    ``balanced`` is reward adjustment by the answers of right completions, which makes no right answer
    less likely, and the mean of the weights over the second half of training. It needs nothing besides
    the run itself: no rehearsal set, no second model.

    Answers must tell solutions apart, as expressions and queries do. Where all right completions have
    one answer (a number, in mathematics), ``balanced`` with ``similarity="ngram"`` or ``"embedding"``
    compares their texts instead.

    >>> preset("balanced")["average_weights_from"]
    0.5

    Raises:
        ConfigError: there is no preset of that name; the nearest one is named.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return dict(PRESETS[name])
