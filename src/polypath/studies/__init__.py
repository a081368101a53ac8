"""``polypath study``: a grid of methods and training seeds from one base and one budget."""
