"""torch, imported on first use, so that settings, help and plans work without it."""

from typing import TYPE_CHECKING, Any

from polypath.errors import needs_extra

if TYPE_CHECKING:
    import torch as torch
else:

    class _Later:
        """Stands for the module torch until one of its attributes is needed."""

        def __getattr__(self, name: str) -> Any:
            with needs_extra("This", "trl"):
                import torch as module
            return getattr(module, name)

    torch = _Later()

__all__ = ["torch"]
