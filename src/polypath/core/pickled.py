"""Settings that are pickled without their keys: a trainer writes them into every checkpoint it saves."""

import copy
from collections.abc import Mapping
from typing import Any, Self

from polypath.credentials import hidden, is_secret


class PickledWithoutKeys:
    """Base of settings whose pickle, ``training_args.bin`` say, holds no token; a copy in memory does."""

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: hidden(value, name) if is_secret(name) or isinstance(value, Mapping) else value
            for name, value in self.__dict__.items()
        }

    def __copy__(self) -> Self:
        return self.restored(self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.restored(copy.deepcopy(self.__dict__, memo))

    @classmethod
    def restored(cls, values: Mapping[str, Any]) -> Self:
        """Return settings with these values, which were checked before."""
        new = object.__new__(cls)
        new.__dict__.update(values)
        return new
