"""Measures of correctness and diversity on arrays of samples; numpy and scipy only."""
