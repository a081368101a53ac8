"""verl's whole loop on CPU cores: nothing changes when all is off, and every term is exact when on."""

import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl has an environment of its own: make test-verl")

import torch

from polypath.objectives import AdvantageConfig, DRAConfig, adjust_rewards, group_advantages
from tests.verl.conftest import PACKED
from tests.verl.recompute import Update, groups, is_bank, is_filler, is_rehearsal, recompute
from tests.verl.runs import PLUGINS, Run, kill, run, start, wait_for

ON = Update(positive_entropy=0.1, rehearsal=0.2, bank=0.3)
# float32 log-probs of logits up to 14 are off by 1e-6, and the gradient's norm by as much as that.
CLOSE = {"rel": 5e-6}


def check_update(found: Run, data: Path, update: Update) -> None:
    """Compare step 1 with the recomputation."""
    metrics, expected = found.metrics[0], recompute(found.dump(1), data / "model", update)
    assert metrics["actor/loss"] == pytest.approx(expected["loss"], abs=2e-7)
    assert metrics["actor/pg_loss"] == pytest.approx(expected["pg"], abs=2e-7)
    assert metrics["actor/grad_norm"] == pytest.approx(expected["grad_norm"], **CLOSE)
    for name in ("divergence", "log_ratio_abs"):
        assert metrics[f"rehearsal/{name}"] == pytest.approx(expected[name], **CLOSE)
    assert metrics["bank/log_ratio"] == pytest.approx(expected["bank_log_ratio"], abs=2e-6)


def check_advantages(dump: dict) -> int:
    """Compare the advantages with those of the adjusted rewards of each group; return how many groups."""
    rows, infos = dump["rows"], dump["infos"]
    for places in groups(dump).values():
        scored = torch.tensor([[infos[n].get("scored", True) for n in places]])
        rewards = torch.tensor([[float(rows[n]["rm_scores"].sum()) for n in places]])
        rewards = rewards.masked_fill(~scored, torch.nan)
        paid = torch.tensor([[float(infos[n]["acc"]) for n in places]]).masked_fill(~scored, 0.0)
        answers = [infos[n]["solution"] for n in places]
        same = torch.tensor([[[float(a == b and a is not None) for b in answers] for a in answers]])
        same[0].fill_diagonal_(1.0)
        adjusted = adjust_rewards(DRAConfig(), rewards, same, correct_rewards_P_G=paid)
        expected = group_advantages(AdvantageConfig(eps=1e-6), adjusted)[0]
        for n, advantage in zip(places, expected.tolist(), strict=True):
            known = rows[n]["advantages"]
            assert known.tolist() == pytest.approx([advantage] * len(known), abs=1e-6)
    return len(groups(dump))


def test_with_all_off_it_is_verl_bit_for_bit(data: Path, tmp_path: Path) -> None:
    stock = run(data, tmp_path / "stock", "trainer.v1.trainer_mode=stock_dump")
    off = run(data, tmp_path / "off")
    before, after = stock.parameters(2), off.parameters(2)
    assert before.keys() == after.keys()
    for name in before:
        assert torch.equal(before[name], after[name]), name
    for mine, theirs in zip(off.metrics, stock.metrics, strict=True):
        for name in ("actor/loss", "actor/grad_norm", "critic/score/mean", "actor/entropy"):
            assert mine[name] == theirs[name]
        assert 0 <= mine["diversity/accuracy"] <= 1
        assert mine["diversity/distinct_solutions"] > 1
        assert not any(name.startswith(("diversity/", "rehearsal/")) for name in theirs)


def test_all_methods_are_exact(whole: Run, data: Path) -> None:
    dump = whole.dump(1)
    assert check_advantages(dump) == 8
    assert [sum(map(kind, dump["rows"])) for kind in (is_rehearsal, is_bank, is_filler)] == [
        8,
        7,
        1,
    ]
    check_update(whole, data, ON)


def test_raw_rewards_stay_in_the_log_and_terms_are_logged(whole: Run) -> None:
    metrics, dump = whole.metrics[0], whole.dump(1)
    raw = [float(row["rm_scores"].sum()) for row in dump["rows"] if row["response_mask"].sum()]
    assert metrics["critic/score/mean"] == pytest.approx(sum(raw) / len(raw))
    assert metrics["diversity/accuracy"] == pytest.approx(sum(raw) / len(raw))
    assert metrics["diversity/adjusted_reward"] < metrics["critic/score/mean"]
    names = ("policy", "positive_entropy", "rehearsal", "bank")
    shares = [metrics[f"gradient_share/{name}"] for name in names]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0
    assert {"positive_entropy/loss", "diversity/entropy_correct", "verify/no_answer"} <= set(
        metrics
    )
    assert not any(name.startswith("actor/polypath") for name in metrics)


def test_the_bank_holds_the_correct_solutions_of_its_steps(whole: Run) -> None:
    dump, metrics = whole.dump(1), whole.metrics
    written = {
        str(row["responses"].tolist())
        for row in dump["rows"]
        if row["response_mask"].sum() and float(row["polypath_correct"]) > 0
    }
    replayed = [row for row in dump["rows"] if is_bank(row)]
    assert {str(row["responses"].tolist()) for row in replayed} <= written
    assert metrics[0]["bank/replayed_rows"] == 7
    assert metrics[0]["bank/age"] == 0
    assert abs(metrics[0]["bank/log_ratio"]) < 1e-5
    assert 0 < metrics[1]["bank/age"] <= 1
    assert metrics[0]["bank/solutions"] < metrics[1]["bank/solutions"]


def test_two_workers_padded_mini_batches_and_epochs(
    data: Path, methods: tuple[str, ...], tmp_path: Path
) -> None:
    found = run(
        data,
        tmp_path / "two",
        *methods,
        "actor_rollout_ref.model.use_remove_padding=false",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
        "actor_rollout_ref.actor.ppo_epochs=2",
        "+polypath.positive_entropy_normalization=token_mean",
        "+polypath.bank_share=0.05",
        "trainer.total_training_steps=1",
        workers=2,
    )
    dump = found.dump(1)
    assert check_advantages(dump) == 8
    assert dump["mini_batch_size"] == 40
    kinds = (is_rehearsal, is_bank, is_filler)
    assert [sum(map(kind, dump["rows"])) for kind in kinds] == [8, 4, 4]
    half = len(dump["rows"]) // 2
    assert any(min(g) < half <= max(g) for g in groups(dump).values()), "no group is split"
    update = Update(
        positive_entropy=0.1,
        normalization="token_mean",
        rehearsal=0.2,
        bank=0.3,
        ranks=2,
        mini_batch=32,
        epochs=2,
    )
    check_update(found, data, update)


def test_dynamic_batches_the_exact_entropy_and_an_own_reward_function(
    data: Path, methods: tuple[str, ...], tmp_path: Path
) -> None:
    found = run(
        data,
        tmp_path / "dynamic",
        *methods,
        PACKED,
        "actor_rollout_ref.actor.use_dynamic_bsz=true",
        "actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=true",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=256",
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=256",
        "+polypath.positive_entropy_form=exact",
        f"reward.custom_reward_function.path={PLUGINS}/own_reward.py",
        "trainer.total_training_steps=1",
    )
    dump = found.dump(1)
    assert check_advantages(dump) == 8
    infos = [dump["infos"][place] for places in groups(dump).values() for place in places]
    assert 0 < sum(info.get("scored") is False for info in infos) < 32
    check_update(found, data, Update(positive_entropy=0.1, form="exact", rehearsal=0.2, bank=0.3))


def test_lora_trains_its_weights_on_the_same_loss(
    data: Path, methods: tuple[str, ...], tmp_path: Path
) -> None:
    lora = ("lora_rank=8", "lora_alpha=16", "target_modules=all-linear", "lora.merge=True")
    options = [f"actor_rollout_ref.model.{option}" for option in lora]
    found = run(data, tmp_path / "lora", *methods, *options, PACKED)
    metrics, dump = found.metrics, found.dump(1)
    assert check_advantages(dump) == 8
    expected = recompute(dump, data / "model", ON)  # a new LoRA changes nothing yet
    assert metrics[0]["actor/loss"] == pytest.approx(expected["loss"], abs=2e-7)
    assert metrics[0]["rehearsal/divergence"] == pytest.approx(expected["divergence"], **CLOSE)
    assert metrics[0]["actor/grad_norm"] > 0
    # verl sends merged weights in bfloat16: samples come from nearly the trained policy.
    assert metrics[1]["rollout_corr/log_ppl_abs_diff"] < 0.01
    first, second = found.parameters(1), found.parameters(2)
    moved = {name for name in first if not torch.equal(first[name], second[name])}
    assert moved == {name for name in first if "lora_" in name}


def test_killed_and_resumed_it_is_the_uninterrupted_run(
    whole: Run, data: Path, methods: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    process = start(data, folder, *methods, PACKED)
    wait_for(
        folder / "step2.pt", process
    )  # after the checkpoint of step 1, in the update of step 2
    kill(process)
    latest = folder / "checkpoints" / "latest_checkpointed_iteration.txt"
    assert latest.read_text() == "1"
    shutil.move(folder / "step2.pt", folder / "before.pt")
    again = run(data, folder, *methods, PACKED, "trainer.resume_mode=auto")
    rows, expected = again.dump(2)["rows"], whole.dump(2)["rows"]
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        assert all(torch.equal(row[name], other[name]) for name in row)
    after, uninterrupted = again.parameters(2), whole.parameters(2)
    assert all(torch.equal(after[name], uninterrupted[name]) for name in uninterrupted)


def test_other_settings_do_not_go_on_and_unused_ones_are_refused(
    whole: Run, data: Path, methods: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(whole.folder / "checkpoints", folder / "checkpoints")
    changed = [m.replace("coef=0.1", "coef=0.3") for m in methods]
    refused = run(data, folder, *changed, PACKED, "trainer.resume_mode=auto", fails=True)
    assert "positive_entropy_coef=0.1" in refused.output
    assert "ConfigError" in refused.output


def test_the_record_holds_every_setting(whole: Run) -> None:
    path = whole.folder / "checkpoints" / "global_step_1" / "polypath.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["dra"] is True
    assert record["rehearsal_coef"] == 0.2
    assert os.path.isdir(record["rehearsal_set"])
