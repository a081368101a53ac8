"""``polypath quickstart``: see diversity collapse and its cures, on a laptop, in minutes."""

from polypath.studies.quickstart.plan import METHODS, QuickstartSettings
from polypath.studies.quickstart.run import quickstart

__all__ = ["METHODS", "QuickstartSettings", "quickstart"]
