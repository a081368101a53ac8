"""Several writers of one store."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from polypath.errors import ConfigError, DataError
from polypath.rollouts import RolloutStore
from polypath.rollouts.locks import Part
from tests.forks import python
from tests.rollouts.rows import manifest, row

ROOT = Path(__file__).parents[2]
FIRST, SECOND = Part(0, 2), Part(1, 2)


def open_part(folder: Path, part: Part) -> RolloutStore:
    return RolloutStore.create_or_open(folder, manifest(), part=part)


def test_parts_write_one_store_at_the_same_time(tmp_path: Path) -> None:
    with open_part(tmp_path, FIRST) as first, open_part(tmp_path, SECOND) as second:
        for n in range(3):
            first.append([row("a", n)])
            second.append([row("b", n)])
        assert len(first.index()) == len(second.index()) == 6
    assert RolloutStore.open(tmp_path).keys() == {(p, n) for p in "ab" for n in range(3)}
    assert len(list(tmp_path.glob("shard-*.parquet"))) == 6


def test_what_another_part_stored_meanwhile_is_learnt_without_reading_all_again(
    tmp_path: Path,
) -> None:
    with open_part(tmp_path, FIRST) as first, open_part(tmp_path, SECOND) as second:
        first.append([row("a", 0)])
        assert ("a", 0) in second.index()
        (tmp_path / "shard-00000000.parquet").write_bytes(b"read twice, this would fail")
        first.append([row("a", 1)])
        assert ("a", 1) in second.index()
        with pytest.raises(DataError, match=r"1.*'a'"):
            second.append([row("b", 0), row("a", 1)])


def test_a_part_is_held_once_and_nobody_holds_all_beside_it(tmp_path: Path) -> None:
    with open_part(tmp_path, FIRST):
        with pytest.raises(ConfigError, match="0 of 2"):
            open_part(tmp_path, FIRST)
        with pytest.raises(ConfigError, match=str(tmp_path)):
            RolloutStore.create_or_open(tmp_path, manifest())
    with (
        RolloutStore.create_or_open(tmp_path, manifest()),
        pytest.raises(ConfigError, match=str(tmp_path)),
    ):
        open_part(tmp_path, SECOND)


def test_the_same_part_twice_without_locks_still_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with open_part(tmp_path, SECOND) as one, open_part(tmp_path, SECOND) as two:
        one.append([row("a", 0)])
        two.append([row("b", 0)])
        two.append([row("b", 1)])
        one.append([row("a", 1)])
    found = [r for b in RolloutStore.open(tmp_path).iter_batches() for r in b.to_pylist()]
    assert sorted((r["problem_id"], r["sample_id"]) for r in found) == [
        *[("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    ]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_parts_do_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_links)
    with open_part(tmp_path, FIRST) as first, open_part(tmp_path, SECOND) as second:
        first.append([row("a", 0)])
        second.append([row("b", 0)])
    assert RolloutStore.open(tmp_path).keys() == {("a", 0), ("b", 0)}


def test_a_part_removes_what_it_left_and_nothing_of_others(tmp_path: Path) -> None:
    open_part(tmp_path, FIRST).close()
    mine, other = (tmp_path / f".writing-{n}of2-77-ab-shard-00000000.parquet" for n in (0, 1))
    for file in (mine, other):
        file.write_bytes(b"half")
    open_part(tmp_path, FIRST).close()
    assert (mine.exists(), other.exists()) == (False, True)
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    assert not other.exists()


def test_the_first_manifest_counts_and_other_settings_are_refused(tmp_path: Path) -> None:
    with open_part(tmp_path, FIRST):
        with pytest.raises(ConfigError, match=r"temperature=1\.0.*temperature=2"):
            RolloutStore.create_or_open(tmp_path, manifest(temperature=2.0), part=SECOND)
        open_part(tmp_path, SECOND).close()


def test_eight_processes_at_once_write_every_row_once(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from polypath.rollouts import RolloutStore\n"
        "from polypath.rollouts.locks import Part\n"
        "from tests.rollouts.rows import manifest, row\n"
        "rank = int(sys.argv[2])\n"
        "with RolloutStore.create_or_open(sys.argv[1], manifest(), part=Part(rank, 8)) as store:\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    for n in range(20):\n"
        "        store.append([row(f'p{rank}', n)])\n"
    )
    command = [*python(), "-c", code, str(tmp_path / "store")]
    writers = [
        subprocess.Popen(
            [*command, str(rank)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for rank in range(8)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
    for writer in writers:
        writer.communicate(b"go\n")
    assert [writer.returncode for writer in writers] == [0] * 8
    store = RolloutStore.open(tmp_path / "store")
    keys = [(r["problem_id"], r["sample_id"]) for b in store.iter_batches() for r in b.to_pylist()]
    assert len(keys) == 160
    assert set(keys) == {(f"p{rank}", n) for rank in range(8) for n in range(20)}


def test_backends_are_told_apart_where_both_are_known(tmp_path: Path) -> None:
    RolloutStore.create_or_open(tmp_path, manifest(backend="vllm")).close()
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    with pytest.raises(ConfigError, match=r"backend='vllm'.*backend='transformers'"):
        RolloutStore.create_or_open(tmp_path, manifest(backend="transformers"))
