"""YAML files that hold a mapping. A faulty file is reported in one line that names it."""

from pathlib import Path
from typing import Any

import yaml

from polypath.credentials import one_line
from polypath.errors import DataError, MissingFileError


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice: YAML would keep the last of two methods with one name."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key != "<<":  # which may occur several times
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} is there twice", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, kind: str, *, repeated: bool = False) -> dict[Any, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file.
        kind: what to call it in errors: "Recipe", "Study".
        repeated: whether a key may occur twice; the last one counts.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not YAML, not a mapping, or contains a key twice.
    """
    loader = yaml.SafeLoader if repeated else _Loader
    if not path.is_file():
        raise MissingFileError(f"{kind} {path} does not exist. Give the path of a YAML file.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or an invalid date
        reason = one_line(error)
        raise DataError(f"{kind} {path} is not readable as YAML: {reason}") from None
    if not isinstance(content, dict):
        raise DataError(
            f"{kind} {path} must hold 'key: value' lines, got {type(content).__name__}."
        )
    return content
