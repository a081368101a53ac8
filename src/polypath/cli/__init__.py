"""The ``polypath`` command."""
