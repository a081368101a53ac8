"""What a recipe would do and need, without starting anything."""
