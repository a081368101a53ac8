"""``polypath`` as launchers start it, with completions that do not depend on which process makes them.

Completions are drawn from a random state of each process, so runs by one process and by two would not
train on the same ones; everything else is the command's own.
"""

import sys

from polypath import DiversityGRPOTrainer
from polypath.cli.main import run
from tests.engines.trl.helpers import FixedCompletions

if __name__ == "__main__":
    DiversityGRPOTrainer._generate_single_turn = FixedCompletions._generate_single_turn
    sys.exit(run(sys.argv[1:]))
