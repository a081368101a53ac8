"""Work in processes: of this machine, or of a Ray cluster. Files and numbers are the same."""
