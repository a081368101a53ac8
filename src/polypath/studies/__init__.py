"""``polypath study``: a grid of methods and training seeds from one base and one budget."""

from polypath.studies.config import Study
from polypath.studies.load import load_study
from polypath.studies.run import run_study

__all__ = ["Study", "load_study", "run_study"]
