"""What a recipe would do and take, from its settings alone."""
