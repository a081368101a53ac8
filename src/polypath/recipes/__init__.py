"""From a YAML file to a run."""
