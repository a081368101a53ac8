"""One training step without an engine: groups, loss terms, rehearsal, statistics.

An engine supplies arrays and texts, and puts the results into its own batch, loss and log. Nothing here
knows a trainer.
"""
