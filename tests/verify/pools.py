"""What the tests of worker pools share."""

import time

import psutil

ACTING = "tests.verify.verifiers:acting_verifier"


def statuses(verdicts):
    return [verdict.status.value for verdict in verdicts]


def answers(verdicts):
    return [verdict.answer for verdict in verdicts]


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
