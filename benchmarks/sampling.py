"""CPU time of an evaluation's samples, against transformers' ``generate`` in the same run.

``generate`` is what sampling used before it had a decoding loop of its own, and what it uses for models that
the loop cannot serve. Both draw from the same random streams; whether the completions are equal is told. One
thread, process time, taking turns.

    python benchmarks/sampling.py --out benchmarks/results/sampling.json
    python benchmarks/sampling.py --tasks countdown --problems 50   # quicker
"""

import os

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

from typing import Any

from machine import environment
from results_file import at_most, finish, in_turns, parser, ratio, spread
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from polypath.sampling import transformers as sampler
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings
from polypath.tasks import get_task
from polypath.tasks.shipped import shipped_model

CASES = {"countdown": ("countdown-base", 400, 128), "small_sql": ("small-sql-base", 200, 64)}
MOST = 0.75  # times generate


def measure(task_name: str, problems: int, repeats: int) -> dict[str, Any]:
    base, most, samples = CASES[task_name]
    count = problems or most
    folder = shipped_model(base)
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    task = get_task(task_name)
    chosen = task.problems("test", count)
    settings = SamplingSettings(max_new_tokens=task.max_completion_length, batch_size=2048)
    request = DrawRequest(problems=chosen, num_samples=samples, settings=settings)
    drawn: dict[str, list[Any]] = {}

    def draw(way: str) -> None:
        own = sampler.can_decode
        if way == "generate":
            sampler.can_decode = lambda _: False
        try:
            batches = sampler.sample(model, tokenizer, request)
            drawn[way] = [completion for batch in batches for completion in batch]
        finally:
            sampler.can_decode = own

    theirs, ours = in_turns([lambda: draw("generate"), lambda: draw("loop")], repeats)
    same = sum(a.token_ids == b.token_ids for a, b in zip(*drawn.values(), strict=True))
    return {
        "task": task_name,
        "problems": count,
        "samples": samples,
        "generate_seconds": spread(theirs),
        "seconds": spread(ours),
        "ratio": ratio(ours, theirs),
        "equal": same / (count * samples),
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--tasks", nargs="+", choices=CASES, default=list(CASES))
    made.add_argument("--problems", type=int, default=0, help="of each task; 0: 400 and 200")
    made.add_argument("--repeats", type=int, default=3)
    options = made.parse_args()
    machine = environment("torch", "transformers", "numpy")
    disable_progress_bar()
    rows = [measure(task, options.problems, options.repeats) for task in options.tasks]
    finish(
        options.out,
        benchmark="sampling",
        environment=machine,
        settings={"tasks": options.tasks, "repeats": options.repeats},
        rows=rows,
        bars=[
            at_most(f"sampling {row['task']}: times generate", row["ratio"][1], MOST)
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
