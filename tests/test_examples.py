"""Every example runs, shortened."""

import subprocess
from pathlib import Path

import pytest

from tests.forks import python

FOLDER = Path(__file__).parent.parent / "examples"
USED_ELSEWHERE = {"my_task.py"}  # a task, not a script: tests/test_own_task.py
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.name not in USED_ELSEWHERE)
SHORT = {
    "own_similarity.py": ["--steps", "2"],
    "stock_trl_with_monitor.py": ["--steps", "2", "--probe", "4"],
}
SHOWS = {
    "own_similarity.py": "mean similarity 0.",
    "stock_trl_with_monitor.py": "pass@16",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(path: Path, tmp_path: Path):
    command = [*python(), str(path), *SHORT[path.name], "--out", str(tmp_path / "run")]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert SHOWS[path.name] in result.stdout
