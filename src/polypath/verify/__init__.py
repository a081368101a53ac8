"""Verifiers: from a completion to a verdict, without ever raising on what a model wrote."""

from polypath.verify.base import Status, Verdict
from polypath.verify.countdown import verify_countdown

__all__ = ["Status", "Verdict", "verify_countdown"]
