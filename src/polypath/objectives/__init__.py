"""The formulas: pure tensor functions, one file per idea."""
