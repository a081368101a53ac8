"""What the README shows runs as it stands."""

import re
import subprocess
from pathlib import Path

from tests.forks import python

ROOT = Path(__file__).parent.parent


def test_python_blocks_run_one_after_the_other(tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    assert "max_steps=20," in blocks[0]  # shortened: the steps are alike
    blocks[0] = blocks[0].replace("max_steps=20,", "max_steps=5,")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    command = [*python(), str(script)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "diversity/distinct_correct" in result.stdout


def test_every_path_and_make_target_it_names_exists():
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(([\w./]+)\)", text):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "\n    make test\n" in (ROOT / "README.md").read_text()
