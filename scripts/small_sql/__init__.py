"""What makes the small SQL task: databases, questions, and demonstrations for its base model."""
