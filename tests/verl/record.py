"""Write down an update of verl as JSON, for the test that compares the other engine with it.

python -m tests.verl.record RUN_FOLDER tests/engines/trl/verl_update.json
"""

import json
import sys
from pathlib import Path

import torch

COLUMNS = {
    "prompt": "prompts",
    "completion": "responses",
    "old_logps": "old_log_probs",
    "advantages": "advantages",
    "correct": "polypath_correct",
    "step_tokens": "polypath_step_tokens",
    "ref_logps": "polypath_ref_logps",
}
METRICS = ("actor/loss", "actor/pg_loss", "actor/grad_norm", "rehearsal/divergence")


def main(folder: Path, out: Path) -> None:
    """Write rows and metrics of step 1."""
    dump = torch.load(folder / "step1.pt", weights_only=False)
    rows = [{n: row[field].tolist() for n, field in COLUMNS.items()} for row in dump["rows"]]
    first = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[0]
    metrics = {name: json.loads(first)["data"][name] for name in METRICS}
    text = json.dumps({"metrics": metrics, "rows": rows}, separators=(",", ":"))
    out.write_text(text.replace('{"prompt"', '\n{"prompt"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
