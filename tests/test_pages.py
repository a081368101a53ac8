"""Every code block of the README and of the site's pages for beginners runs as it stands.

In order, in one folder for each page: a block with a title is a file, Python without one is run, YAML without
one is planned as a recipe, and commands are run. tests/test_new_user.py has
docs/trl.md, and tests/test_own_task.py docs/own_task.md.
"""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.forks import python
from tests.rehearsal.adder import save_adder
from tests.test_own_task import polypath

ROOT = Path(__file__).parents[1]
SHORT = "max_steps=2, logging_steps=1, max_completion_length=4, bf16=False, report_to='none'"
RECIPE = {
    "model_name_or_path": "countdown-base",
    "task": "countdown",
    "output_dir": "planned",
    "max_completion_length": 12,
    "bf16": False,
    "use_cpu": True,
}
FEW = {"--n 64": "--n 4 --limit 6", "--k 64": "--k 4"}
# Of each page, what is put in place of a name that the reader fills in, or of a number that takes long.
PAGES = {
    "README.md": {
        **FEW,
        "max_steps=20,": "max_steps=2,",
        "logging_steps=5": "logging_steps=1",
        "train_batch_size=128": "train_batch_size=16",
        '"dev", 64': '"dev", 4',
    },
    "docs/index.md": {"polypath quickstart": "polypath quickstart --help"},
    "docs/compare.md": {
        **FEW,
        "BASE": "countdown-base",
        "TRAINED": "countdown-base --seed 1",
        "TASK": "countdown",
    },
    "docs/choose.md": {},
}
# What a page's run leaves, to see that it was the real thing.
LEAVES = {
    "README.md": ["report.html", "runs/first/model.safetensors"],
    "docs/compare.md": ["report.html"],
}


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: str, replaced: dict[str, str]) -> list[Block]:
    """Return the code blocks of a page with the replacements, each of which must be found."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "\n\n    " not in text, "a block without a language is run by nobody"
    found = re.findall(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', text, re.M | re.S)
    assert len(found) == text.count("\n```") / 2
    code = "\0".join(block[2] for block in found)
    for old, new in replaced.items():
        assert old in code or old in FEW, old
        code = code.replace(old, new)
    parts = code.split("\0")
    return [Block(*block[:2], part) for block, part in zip(found, parts, strict=True)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_blocks(blocks(page, PAGES[page]))
    for path in LEAVES.get(page, []):
        assert Path(path).stat().st_size > 0, path


def run_blocks(found: list[Block]) -> None:
    """Do what a page says, in the current folder. Its ``model`` there is half trained."""
    save_adder(Path("model"))
    for block in found:
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            for line in block.text.replace("\\\n", "").splitlines():
                run_command(shlex.split(line, comments=True))
        elif block.language == "python":
            run_script(block.text)
        elif block.language == "yaml":
            plan(yaml.safe_load(block.text))
        elif block.language == "diff":
            run_change(block.text)
        else:
            assert block.language == "text"  # what a command prints


def run_script(text: str) -> None:
    Path("page.py").write_text(text, encoding="utf-8")
    run_command(["python", "page.py"])


def run_command(words: list[str]) -> None:
    """Run a command, or hold what would install something to what there is."""
    if words[0] == "polypath":
        polypath(*words[1:])
    elif words[0] == "python":
        done = subprocess.run([*python(), *words[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stderr[-3000:]}"
    elif words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
    else:
        assert words[:2] == ["pip", "install"], words
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for extra in re.findall(r"\[(.+)\]", words[-1]):
            assert set(extra.split(",")) <= project["optional-dependencies"].keys()


def plan(settings: dict[str, object]) -> None:
    Path("planned.yaml").write_text(yaml.safe_dump({**RECIPE, **settings}), encoding="utf-8")
    printed = polypath("train", "--config", "planned.yaml", "--plan")
    assert set(settings) & set(re.findall(r"\w+", printed)), printed


def run_change(diff: str) -> None:
    """Run a script before and after the change; both train, and only the second logs more."""
    start = (
        "from datasets import Dataset\n"
        "from tests.rehearsal.adder import Addition\n"
        "model, dataset = 'model', Dataset.from_list([{'prompt': p.prompt} for p in "
        "Addition().problems('train')])\n"
        "reward = lambda completions, **columns: [float(len(c) % 2) for c in completions]\n"
    )
    few = f"{SHORT}, per_device_train_batch_size=8, num_generations=4, use_cpu=True"
    for sign in "-+":
        kept = [line[1:] for line in diff.splitlines() if line[0] in f" {sign}"]
        text = "\n".join(kept).replace('("runs/mine"', f'("runs/mine", {few}')
        assert few in text
        end = (
            "\nlogged = any('diversity/similarity' in line for line in trainer.state.log_history)\n"
        )
        run_script(f"{start}{text}{end}assert logged is {sign == '+'}\n")


def test_ci_runs_the_test_command_of_the_readme():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert {"make test", "make docs"} <= set(ci.splitlines())


def test_every_path_and_make_target_of_the_readme_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([\w./]+)\)", text):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"`make (\w+)`", text):
        run_command(["make", target])
