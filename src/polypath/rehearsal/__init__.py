"""Presample, partition, rescore: from an initial policy to a rehearsal set."""
