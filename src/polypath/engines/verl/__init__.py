"""The verl engine: a trainer that verl finds by name, and a reward function for its reward loop.

verl imports this module in every process where ``VERL_USE_EXTERNAL_MODULES`` names it. The
overrides are at the top of docs/verl.md.
"""

from polypath.errors import MissingExtraError

try:
    import verl  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        "polypath.engines.verl needs verl. Run: pip install 'polypath[verl]', in an environment of its own: "
        "verl and TRL want different versions of transformers."
    ) from error

from polypath.engines.verl.trainer import TRAINER_MODE, DiversityPPOTrainer

__all__ = ["TRAINER_MODE", "DiversityPPOTrainer"]
