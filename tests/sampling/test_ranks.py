import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError
from polypath.rollouts import RolloutStore
from polypath.rollouts.locks import WHOLE, Part
from polypath.sampling.ranks import find_ranks
from tests.forks import python
from tests.rehearsal.adder import save_adder

ROOT = Path(__file__).parents[2]
WAYS = ["of2", "of3", "killed", "other_size"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Do sampling and presampling in all ways; return the folder and what happened."""
    folder = tmp_path_factory.mktemp("ranks")
    save_adder(folder / "model")
    done = subprocess.run(
        [*python(), "-m", "tests.sampling.rank_runs", str(folder / "model"), str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


def rows_of(store: Path) -> list[dict[str, Any]]:
    rows = [r for b in RolloutStore.open(store).iter_batches() for r in b.to_pylist()]
    return sorted(rows, key=lambda r: (r["problem_id"], r["sample_id"]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("store", ["samples", "greedy"])
def test_the_samples_are_those_of_one_process(
    runs: tuple[Path, dict[str, Any]], way: str, store: str
) -> None:
    folder = runs[0] / "sample"
    expected = rows_of(folder / "one" / store)
    assert len(expected) == (120 if store == "samples" else 40)
    assert rows_of(folder / way / store) == expected


def test_the_rehearsal_set_is_that_of_one_process(runs: tuple[Path, dict[str, Any]]) -> None:
    folder, way = runs[0] / "presample", "killed"
    assert rows_of(folder / way / "samples") == rows_of(folder / "one" / "samples")
    for name in ("rehearsal.safetensors", "partition.parquet", "manifest.json"):
        digests = [hashlib.sha256((folder / w / name).read_bytes()).digest() for w in ("one", way)]
        assert digests[0] == digests[1], name
    assert not list(folder.rglob(".writing-*"))


@pytest.mark.parametrize(("job", "planned"), [("sample", 15), ("presample", 20)])
def test_the_kill_hit_the_work_and_the_other_waited(
    runs: tuple[Path, dict[str, Any]], job: str, planned: int
) -> None:
    told = runs[1][job]
    assert 2 <= told["shards of the killed"] < planned
    assert told["the other waits"]
    assert told["killed"] == [0, 0]


def test_another_number_of_processes_goes_on_and_one_cleans_up(
    runs: tuple[Path, dict[str, Any]],
) -> None:
    folder, told = runs[0] / "sample" / "other_size" / "samples", runs[1]["sample"]
    assert 3 <= told["shards before"] < 30
    assert (told["of2"], told["of3"], told["other_size"]) == ([0] * 2, [0] * 3, [0] * 2)
    # Parts leave alone what might be another's; a writer of the whole does not.
    left = folder / ".writing-2of3-1-ab-shard-00000000.parquet"
    left.write_bytes(b"half")
    RolloutStore.create_or_open(folder, RolloutStore.open(folder).manifest).close()
    assert not list(folder.glob(".writing-*"))


def test_only_rank_0_speaks_and_it_says_what_it_waits_for(
    runs: tuple[Path, dict[str, Any]],
) -> None:
    folder = runs[0] / "sample"
    assert (folder / "killed-said-1").read_text() == ""
    said = (folder / "killed-said-0").read_text()
    assert "This process has done its part;" in said
    assert re.search(r"\d+ of 120 samples are still being done by others", said)
    assert "the same RANK and WORLD_SIZE" in said
    assert "waiting for samples: 120 of 120" in said


@pytest.mark.parametrize(
    ("environ", "part", "local"),
    [
        ({}, WHOLE, None),
        ({"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1"}, Part(9, 16), 1),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Part(1, 2), None),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, WHOLE, None),
        ({"RANK": "3"}, WHOLE, None),
    ],
)
def test_who_one_is_comes_from_the_launcher(
    environ: dict[str, str], part: Part, local: int | None
) -> None:
    ranks = find_ranks(environ)
    assert (ranks.part, ranks.local_rank) == (part, local)
    assert ranks.leads == (part.rank == 0)


@pytest.mark.parametrize("rank", ["2", "-1", "a", ""])
def test_what_is_no_part_is_refused(rank: str) -> None:
    with pytest.raises(ConfigError, match=f"RANK={rank}, WORLD_SIZE=2"):
        find_ranks({"RANK": rank, "WORLD_SIZE": "2"})
