"""Completions to verdicts; never raises on model output."""
