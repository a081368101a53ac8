"""From a recipe in YAML to a trained model."""
