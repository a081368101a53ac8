"""What is asked: prompts, gold answers, splits, and the verifier that judges them."""
