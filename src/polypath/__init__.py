"""Diversity-aware reinforcement learning for LLM reasoning."""
