"""One training step without an engine: groups, loss terms, rehearsal, statistics.

An engine brings arrays and texts, and carries what comes back into its own batch, loss and log. Nothing
here knows a trainer.
"""
