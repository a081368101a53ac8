"""``polypath quickstart``: see diversity collapse and its cures, on a laptop, in minutes."""

from polypath.recipes.quickstart.plan import METHODS, QuickstartSettings
from polypath.recipes.quickstart.run import quickstart

__all__ = ["METHODS", "QuickstartSettings", "quickstart"]
