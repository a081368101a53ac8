"""torch, imported when it is first used: settings, help and plans are read without it."""

from typing import TYPE_CHECKING, Any

from polypath.errors import needs_extra

if TYPE_CHECKING:
    import torch as torch
else:

    class _Later:
        """Stands for the module torch until something of it is needed."""

        def __getattr__(self, name: str) -> Any:
            with needs_extra("This", "trl"):
                import torch as module
            return getattr(module, name)

    torch = _Later()

__all__ = ["torch"]
