"""``python -m polypath``, and ``torchrun -m polypath train --config recipe.yaml``."""

from polypath.cli.main import main

if __name__ == "__main__":
    main()
