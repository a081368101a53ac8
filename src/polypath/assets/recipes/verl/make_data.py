"""Countdown for verl: the shipped base with a chat template, and its problems as Parquet files.

python make_data.py FOLDER [TRAIN_PROBLEMS] [DEV_PROBLEMS]

verl's prompts are chat messages. The template is the message's own text, so that the base sees what it
was trained on.
"""

import json
import shutil
import sys
from pathlib import Path

from polypath.tasks import get_task
from polypath.tasks.shipped import shipped_model
from polypath.tasks.verl_data import write_task

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def main(folder: Path, train: int, dev: int) -> None:
    """Write ``model/``, ``train.parquet`` and ``dev.parquet``."""
    shutil.copytree(shipped_model("countdown-base"), folder / "model", dirs_exist_ok=True)
    path = folder / "model" / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "chat_template": TEMPLATE}), encoding="utf-8")
    task = get_task("countdown")
    for split, limit in (("train", train), ("dev", dev)):
        write_task(task, folder / f"{split}.parquet", split=split, limit=limit)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[2:]]
    main(Path(sys.argv[1]), *(numbers + [256, 8][len(numbers) :]))
