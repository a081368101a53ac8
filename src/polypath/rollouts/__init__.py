"""The sample store: schema, append-only shards, manifest."""

from polypath.rollouts.manifest import RolloutManifest, library_versions
from polypath.rollouts.schema import SCHEMA, Rollout, decode_prompt, encode_prompt
from polypath.rollouts.store import RolloutStore

__all__ = [
    "SCHEMA",
    "Rollout",
    "RolloutManifest",
    "RolloutStore",
    "decode_prompt",
    "encode_prompt",
    "library_versions",
]
