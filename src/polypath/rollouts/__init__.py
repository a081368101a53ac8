"""The sample store, and samples read from it or from the files of other tools."""

from polypath.rollouts.manifest import RolloutManifest, library_versions
from polypath.rollouts.samples import Samples, load_runs, load_samples
from polypath.rollouts.schema import SCHEMA, Rollout, decode_prompt, encode_prompt
from polypath.rollouts.store import RolloutStore

__all__ = [
    "SCHEMA",
    "Rollout",
    "RolloutManifest",
    "RolloutStore",
    "Samples",
    "decode_prompt",
    "encode_prompt",
    "library_versions",
    "load_runs",
    "load_samples",
]
