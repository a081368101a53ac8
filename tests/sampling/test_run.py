import shutil
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError
from polypath.rollouts import RolloutManifest, RolloutStore, load_samples
from polypath.sampling.http import ServerError
from polypath.sampling.run import sample_run
from polypath.sampling.settings import SamplingSettings, ServerSettings
from tests.refusals import refused
from tests.rehearsal.adder import Addition
from tests.sampling.server import Behaviour, serving

SETTINGS = SamplingSettings(max_new_tokens=4, batch_size=8, temperature=0.9)


def run(model: Any, out: Path, **changes: Any) -> Any:
    options: dict[str, Any] = {"split": "train", "num_samples": 3, "settings": SETTINGS, "limit": 4}
    return sample_run(model, Addition(), out=out, **{**options, **changes})


def rows_of(out: Path, name: str = "samples") -> list[dict[str, Any]]:
    rows = [r for b in RolloutStore.open(out / name).iter_batches() for r in b.to_pylist()]
    return sorted(rows, key=lambda r: (r["problem_id"], r["sample_id"]))


def test_a_run_grows_by_samples_and_by_problems(tiny_model_dir: Path, tmp_path: Path) -> None:
    first = run(tiny_model_dir, tmp_path, limit=2)
    assert (first.num_problems, first.new_samples) == (2, 6)
    assert run(tiny_model_dir, tmp_path, num_samples=5).new_samples == 20 - 6
    assert run(tiny_model_dir, tmp_path, num_samples=5).new_samples == 0
    run(tiny_model_dir, tmp_path / "at_once", num_samples=5)
    assert rows_of(tmp_path) == rows_of(tmp_path / "at_once")


def test_greedy_samples_have_a_store_of_their_own(tiny_model_dir: Path, tmp_path: Path) -> None:
    assert run(tiny_model_dir, tmp_path, greedy=True).new_samples == 12 + 4
    assert RolloutManifest.read(tmp_path / "greedy" / "manifest.json").temperature == 0
    assert RolloutManifest.read(tmp_path / "samples" / "manifest.json").temperature == 0.9
    assert len(rows_of(tmp_path, "greedy")) == 4
    assert load_samples(tmp_path).greedy_correct is not None


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("temperature", {"settings": SamplingSettings(max_new_tokens=4)}),
        ("seed", {"settings": SamplingSettings(max_new_tokens=4, temperature=0.9, seed=1)}),
        ("max_new_tokens", {"settings": SamplingSettings(max_new_tokens=5, temperature=0.9)}),
    ],
)
def test_samples_of_other_settings_are_refused(
    tiny_model_dir: Path, tmp_path: Path, field: str, changes: dict[str, Any]
) -> None:
    run(tiny_model_dir, tmp_path, limit=1)
    with pytest.raises(ConfigError, match=f"{field}="):
        run(tiny_model_dir, tmp_path, **changes)
    assert len(rows_of(tmp_path)) == 3


class Renumbered(Addition):
    """Other problems under the same ids."""

    def problems(self, split: str, limit: int | None = None) -> Any:
        from dataclasses import replace

        found = super().problems(split, limit)
        return [replace(p, gold=str(int(p.gold) + 1)) for p in found]


def test_a_model_that_changed_in_one_bit_is_named(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model_dir, model)
    run(model, tmp_path / "run", limit=2)
    whole = bytearray((model / "model.safetensors").read_bytes())
    whole[-8] ^= 1
    (model / "model.safetensors").write_bytes(whole)
    with pytest.raises(ConfigError, match=r"model\.safetensors"):
        run(model, tmp_path / "run")
    assert run(tiny_model_dir, tmp_path / "run").new_samples == 6, "the model, from another place"


def test_other_problems_under_the_same_ids_are_refused(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    run(tiny_model_dir, tmp_path, limit=1)
    with pytest.raises(ConfigError, match="prompt"):
        sample_run(
            *(tiny_model_dir, Renumbered()),
            **{"out": tmp_path, "split": "train", "num_samples": 3, "settings": SETTINGS},
        )


def test_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="problems"):
        run("m", tmp_path, limit=0)
    with pytest.raises(ConfigError, match=r"samples.*1"):
        run("m", tmp_path, num_samples=0)


def test_a_server_fills_a_run_and_leaves_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    behaviour = Behaviour()
    with serving(behaviour) as url:
        server = ServerSettings(base_url=url, model="served")
        assert run(server, tmp_path, greedy=True).new_samples == 16
        behaviour.fault = lambda *_: (400, {}, "no")
        with pytest.raises(ServerError, match="samples"):
            run(server, tmp_path, num_samples=4)
        with pytest.raises(ConfigError, match="model='served'"):
            run(ServerSettings(base_url=url, model="other"), tmp_path)
        with pytest.raises(ConfigError, match="template_fingerprint=None"):
            run(ServerSettings(base_url=url, model="served", chat=True), tmp_path)
    assert {b["temperature"] for b in behaviour.requests} == {0.9, 0.0}
    assert len(rows_of(tmp_path)) == 12
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-secret" not in path.read_bytes()


def test_a_prompt_that_is_always_refused_costs_no_other_sample(tmp_path: Path) -> None:
    problems = Addition().problems("train", 4)
    behaviour = Behaviour(
        fault=lambda _, body: (400, {}, "no") if body["prompt"] == problems[0].prompt else None
    )
    with serving(behaviour) as url:
        server = ServerSettings(base_url=url, model="served")
        with refused(ServerError, problems[0].problem_id, tmp_path / "samples"):
            run(server, tmp_path, greedy=True)
    asked = {problem.problem_id for problem in problems[1:]}
    for name in ("samples", "greedy"):
        assert {row["problem_id"] for row in rows_of(tmp_path, name)} == asked
