"""What tells one result from another: settings and weights, hashed into folder names."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SMALL_BASE = 256 * 2**20  # bytes of a model up to which its weights are hashed


def plain(value: Any) -> Any:
    """Return a setting so that 1 from YAML and "1" from an override are the same."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in sorted(value.items())}
    if isinstance(value, list):
        return " ".join(str(plain(v)) for v in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def short_hash(identity: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that stand for an identity."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def fingerprint(folder: Path) -> str:
    """Return what tells a model folder from one with other weights; empty for a hub name."""
    if not folder.is_dir():
        return ""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.json")])
    digest = hashlib.sha256()
    whole = sum(file.stat().st_size for file in files) <= SMALL_BASE
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}".encode())
        if whole:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
