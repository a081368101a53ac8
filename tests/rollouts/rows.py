"""Rows and manifests for tests of the store."""

from dataclasses import replace
from typing import Any

from polypath.rollouts import Rollout, RolloutManifest


def row(problem_id: str, sample_id: int, **changes: Any) -> Rollout:
    """Return a correct two-token row, changed as told."""
    base = Rollout(
        problem_id=problem_id,
        sample_id=sample_id,
        prompt=f"solve {problem_id}",
        completion="5",
        gold="5",
        status="graded",
        reward=1.0,
        correct=True,
        answer="5",
        n_tokens=2,
        finish_reason="stop",
        token_ids=(5, 2),
    )
    return replace(base, **changes)


def manifest(**changes: Any) -> RolloutManifest:
    """Return a complete manifest, changed as told."""
    base = RolloutManifest(
        model="base",
        model_fingerprint="m" * 8,
        tokenizer_fingerprint="t" * 8,
        template_fingerprint="c" * 8,
        temperature=1.0,
        top_p=1.0,
        top_k=None,
        max_new_tokens=16,
        seed=0,
        task="addition",
        split="train",
    )
    return replace(base, **changes)
