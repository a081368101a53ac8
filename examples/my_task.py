"""A task of your own in one file: data, reward, and what a solution is.

polypath eval --model MODEL --task examples/my_task.py:additions --out runs/base
"""

import re

from polypath import task_from

ROWS = [{"prompt": f"solve {a} + {b} =", "answer": str(a + b)} for a in range(10) for b in range(4)]


def reward(completions, answer, **columns):
    """1 where the first number is the answer; as TRL calls it."""
    found = [re.search(r"\d+", completion) for completion in completions]
    return [float(f is not None and f[0] == a) for f, a in zip(found, answer, strict=True)]


def solution(text, row):
    """How it was written: two texts with equal words are one solution."""
    return " ".join(text.split()) or None


def additions():
    return task_from(ROWS, reward, solution, max_completion_length=4, test_share=0.2)
