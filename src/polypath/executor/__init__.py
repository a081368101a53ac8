"""Run work in processes on this machine or on a Ray cluster, with the same files and numbers."""
