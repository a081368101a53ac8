"""Fixtures of the verifiers' tests."""

import pytest

from polypath.verify.pool import WorkerPool
from tests.verify.pools import ACTING


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(ACTING, workers=2, deadline=0.3) as built:
        yield built
