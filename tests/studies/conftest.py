"""A study that was run, for all tests that read its results."""

import pytest

from tests.studies.small_study import FinishedStudy, killed_and_finished


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    """Return a study that was killed and went on; made once, since it trains."""
    return killed_and_finished(tmp_path_factory.mktemp("study"))
