"""Presampling as the command does it: with TRL's forward for the reference log-probs."""

from functools import partial

from polypath.engines.trl import completion_logps
from polypath.rehearsal import presample as module

presample = partial(module.presample, completion_logps=completion_logps)
