"""How the papers evaluate: numbers of samples and their sampling settings, each with its source.

If a paper does not say, the source says so, and the value is ours.
"""

from polypath.errors import unknown_name
from polypath.tasks.base import EvaluationDefaults

PROTOCOLS: dict[str, EvaluationDefaults] = {
    # Avg@8 of Table 2. Its Pass@1 is greedy: --greedy draws that sample as well. The paper names the
    # harness of Qwen2.5-Math, whose limit is 2048 tokens; it states neither top_p nor the limit.
    "r1_zero_div": EvaluationDefaults(
        num_samples=8,
        temperature=0.5,
        top_p=1.0,
        max_completion_length=2048,
        source="R1-zero-Div, arXiv 2505.23433, Avg@8 of Table 2; top_p and length ours",
    ),
    # One sample: on 30 or 40 problems its standard error is 6 to 9 points. Use --n 16 or more.
    "dra": EvaluationDefaults(
        num_samples=1,
        temperature=0.6,
        top_p=0.95,
        max_completion_length=32768,
        source="DRA-GRPO, authors' evaluate.py (lighteval)",
    ),
    # Tables report mean@k and Pass@64 on small sets. How the samples were drawn could not be read.
    "dph_math": EvaluationDefaults(
        num_samples=64,
        temperature=1.0,
        top_p=1.0,
        max_completion_length=4096,
        source="DPH-RL, arXiv 2509.07430: mean@64 and Pass@64; sampling not stated, ours",
    ),
    # Greedy (--greedy), Pass@8 and Pass@16; temperature and top_p are those of its pre-sampling
    # script, the length that of its training.
    "dph_sql": EvaluationDefaults(
        num_samples=16,
        temperature=1.0,
        top_p=0.95,
        max_completion_length=4096,
        source="DPH-RL, arXiv 2509.07430: greedy, Pass@8, Pass@16; sampling of its pre-sampling",
    ),
}


def protocol(name: str) -> EvaluationDefaults:
    """Return a protocol by name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
