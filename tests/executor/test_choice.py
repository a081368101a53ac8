"""Which executor is used is what the option says, then the environment, then this machine."""

import socket
import subprocess
import sys

import pytest

from polypath.cli.main import run
from polypath.errors import ConfigError
from polypath.executor.cluster import RayCluster, find_cluster
from tests.forks import python

ADDRESS = "10.0.0.1:6379"


@pytest.mark.parametrize(
    ("option", "variable", "found"),
    [
        (None, None, None),
        (None, "", None),
        ("off", None, None),
        ("off", ADDRESS, None),
        ("auto", None, RayCluster(address="auto")),
        ("auto", ADDRESS, RayCluster(address="auto")),
        (None, ADDRESS, RayCluster(address=ADDRESS, named_by="RAY_ADDRESS")),
        (None, "auto", RayCluster(address="auto", named_by="RAY_ADDRESS")),
    ],
)
def test_the_option_wins_over_the_environment(option, variable, found):
    environ = {} if variable is None else {"RAY_ADDRESS": variable}
    assert find_cluster(option, environ=environ) == found


@pytest.mark.parametrize("address", ["", "host", "host:", ":6379", "ray://h:1", "http://h:8265"])
def test_what_is_no_address_is_refused_by_the_name_of_what_gave_it(address):
    with pytest.raises(ConfigError, match="--ray"):
        find_cluster(address, environ={})
    if address:
        with pytest.raises(ConfigError, match="RAY_ADDRESS"):
            find_cluster(None, environ={"RAY_ADDRESS": address})


def error_of(words, capsys):
    assert run(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


SAMPLE = ["sample", "--model", "countdown-base", "--out", "none"]


def test_what_cannot_be_is_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert "--ray" in error_of([*SAMPLE, "--workers", "2"], capsys)
    assert "--workers" in error_of([*SAMPLE, "--ray", "auto", "--workers", "0"], capsys)
    served = ["--base-url", "http://localhost:1/v1"]
    assert "--base-url" in error_of([*SAMPLE, *served, "--ray", "auto"], capsys)
    file = tmp_path / "x.jsonl"
    file.write_text('{"problem_id": "a", "completion": "1", "gold": "1"}\n')
    score = ["score", str(file), "--task", "countdown", "--ray", "auto"]
    assert "one process" in error_of(score, capsys)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "several processes" in error_of([*SAMPLE, "--ray", "auto"], capsys)


def test_an_address_of_the_environment_that_is_of_no_use_is_told(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", ADDRESS)
    file = tmp_path / "x.jsonl"
    file.write_text('{"problem_id": "a", "completion": "1", "gold": "1"}\n')
    assert run(["score", str(file), "--task", "countdown"]) == 0
    assert "RAY_ADDRESS is not used" in capsys.readouterr().out


def test_ray_that_is_not_installed_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "polypath.executor.ray", raising=False)
    assert "polypath[ray]" in error_of([*SAMPLE, "--ray", "auto"], capsys)


def test_an_address_where_nothing_answers_is_one_line(capsys, monkeypatch, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    if " " in sys.executable:
        pytest.skip("Ray starts no workers with a Python whose path has a space")
    from polypath.executor import ray

    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ray, "CONNECT_SECONDS", 3.0)
        assert "within 3 s" in error_of([*SAMPLE, "--ray", f"127.0.0.1:{port}"], capsys)
    assert "nothing answers" in error_of([*SAMPLE, "--ray", f"127.0.0.1:{port}"], capsys)
    assert not (tmp_path / "none").exists()


def test_ray_is_not_imported_unless_it_is_asked_for():
    modules = "polypath.sampling.run, polypath.studies.run, polypath.cli.main"
    code = f"import sys, {modules}; sys.exit('ray' in sys.modules)"
    assert subprocess.run([*python(), "-c", code], check=False).returncode == 0


def test_a_python_whose_path_has_a_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from polypath.executor.ray import connected

    monkeypatch.setattr("sys.executable", "/my environments/bin/python")
    with pytest.raises(ConfigError, match="my environments"), connected(RayCluster(address="auto")):
        pass
