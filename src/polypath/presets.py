"""Settings under one name, such as ``preset: balanced`` in a recipe."""

from types import MappingProxyType
from typing import Any

from polypath.errors import unknown_name

_REHEARSED = {"rehearsal_set": "auto", "rehearsal_explore_only": False}
_AVERAGED = {"average_weights_from": 0.5}
_PROTECTED = {
    "dra": True,
    "similarity": "answer",
    "dra_among": "rewarded",
    "dra_weight_norm": "protected",
}

PRESETS: MappingProxyType[str, MappingProxyType[str, Any]] = MappingProxyType(
    {
        "balanced": MappingProxyType({**_REHEARSED, "rehearsal_coef": 0.02, **_AVERAGED}),
        "diverse": MappingProxyType(
            {**_PROTECTED, **_REHEARSED, "rehearsal_coef": 0.03, **_AVERAGED}
        ),
    }
)


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset, as keyword arguments of ``DiversityGRPOConfig``.

    - ``balanced`` rehearses the base's different right solutions weakly, and ends with the mean of the
      weights over the second half of training. It is meant to cost no pass@1.
    - ``diverse`` rehearses somewhat more. It also adjusts rewards by the answers of right completions, so
      that no right answer is made less likely. It is meant to keep more, at some cost on hard tasks. Its
      answers must tell solutions apart, as expressions and queries do. If all right completions have one
      answer (a number, in mathematics), also set ``similarity`` to ``"ngram"`` or ``"embedding"``.

    ``rehearsal_set`` is ``"auto"``: ``polypath train`` samples the set before it trains. In Python, pass an
    existing one: ``{**preset("balanced"), "rehearsal_set": FOLDER}``. Both presets average weights, which
    needs one process or DDP. Their results with five seeds are in docs/studies/both_ends.md.

    >>> preset("balanced")["average_weights_from"]
    0.5

    Raises:
        ConfigError: there is no preset of that name. The nearest one is named.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return dict(PRESETS[name])
