"""Verifies for the pool's tests. What a completion says is what happens in the worker."""

import os
import sys
import time
from collections import deque
from itertools import repeat

from polypath.errors import MissingFileError
from polypath.verify.base import Status, Verdict


def acting_verifier(**options):
    def verifier(completion, gold):
        match completion.split(":")[0]:
            case "sleep":
                time.sleep(float(completion.split(":")[1]))
            case "work":
                end = time.process_time() + float(completion.split(":")[1])
                while time.process_time() < end:
                    pass
            case "c-loop":
                deque(repeat(0), maxlen=0)  # never returns to the interpreter: no signal is seen
            case "raise":
                raise ValueError("verifier")
            case "exit":
                sys.exit(3)
            case "os-exit":
                os._exit(3)
            case "memory":
                bytearray(10**12)
            case "print":
                print("x" * 100_000, flush=True)
                os.write(1, b"raw bytes")
                print("y" * 100_000, file=sys.stderr, flush=True)
            case "read":
                return Verdict(status=Status.GRADED, answer=sys.stdin.read())
            case "pid":
                return Verdict(status=Status.GRADED, answer=str(os.getpid()))
            case "environment":
                return Verdict(status=Status.GRADED, answer=os.environ[completion.split(":")[1]])
            case "modules":
                return Verdict(status=Status.GRADED, answer=str("torch" in sys.modules))
            case "not-a-verdict":
                return True
            case "option":
                return Verdict(status=Status.GRADED, answer=repr(options))
        right = completion == gold
        return Verdict(status=Status.GRADED, reward=float(right), answer=completion)

    return verifier


def broken_verifier():
    raise ZeroDivisionError("two\nlines")


def fileless_verifier(*, path):
    raise MissingFileError(f"No file {path}. Name another.")


def dying_verifier():
    os._exit(7)


def not_callable():
    return 3
