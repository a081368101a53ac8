"""``polypath``, ``python -m polypath``, and ``torchrun -m polypath train --config recipe.yaml``."""


def main() -> None:
    """Run the command line."""
    # Here, because a process that is spawned reads this file, too, and needs no command line.
    from polypath.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
