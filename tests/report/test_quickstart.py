"""Tables and picture of the quickstart, from plain numbers."""

import math
from pathlib import Path

import numpy as np
from rich.console import Console

from polypath.report.quickstart import Curve, Row, TrainingCurve, draw, print_tables

ROW = Row(
    method="GRPO",
    split="test",
    ks=(1, 64),
    estimate=(0.25, 0.75, 1.5),
    low=(0.20, 0.70, 1.4),
    high=(0.30, 0.80, 1.6),
    entropy=0.5,
    seconds=math.nan,
)


def test_record_is_flat_and_its_keys_are_the_columns():
    record = ROW.record()
    assert record["pass@1"] == 0.25
    assert record["pass@64 low"] == 0.70
    assert record["distinct high"] == 1.6
    assert record["seconds"] is None
    assert set(record) >= {"method", "split", "pass@1", "pass@64", "distinct", "entropy", "seconds"}


def test_table_shows_estimates_and_half_intervals():
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_tables(console, [ROW], {"test": "held-out problems", "other": "nothing here"})
    text = console.export_text()
    assert "0.250±.050" in text
    assert "1.50±.10" in text
    assert "nothing here" not in text


def test_picture_is_written_and_holds_every_line(tmp_path: Path):
    ks = (1, 2, 4)
    curves = [
        Curve(
            label=name, ks=ks, estimate=np.array([0.1, 0.2, 0.3]), low=np.zeros(3), high=np.ones(3)
        )
        for name in ("base", "GRPO")
    ]
    training = [
        TrainingCurve(
            label="GRPO", rounds=(5.0,), accuracy=(0.2,), entropy=(math.nan,), distinct=(1.0,)
        )
    ]
    path = tmp_path / "deep" / "picture.png"
    draw(curves, training, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 20_000
