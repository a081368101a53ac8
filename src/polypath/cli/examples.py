"""Examples in the help of each command. A test parses every line with its command."""

EXAMPLES = {
    "": """
        polypath quickstart
        polypath train --config recipe.yaml --dra true
        polypath eval --model runs/dra --task gsm8k --out runs/dra-eval
        polypath compare runs/base-eval runs/dra-eval""",
    "quickstart": """
        polypath quickstart
        polypath quickstart --methods grpo,dra --steps 20 --out runs/short""",
    "train": """
        polypath recipes countdown --to recipes
        polypath train --config recipes/countdown/grpo.yaml --output_dir runs/grpo --plan
        polypath train --config recipe.yaml --dra true --learning_rate 2e-6
        accelerate launch -m polypath train --config recipe.yaml --preset balanced""",
    "sample": """
        polypath sample --model countdown-base --n 32 --limit 100 --out runs/base
        polypath sample --model runs/grpo --task gsm8k --backend vllm --out runs/gsm8k
        polypath sample --model NAME --base-url http://localhost:8000/v1 --out runs/served
        torchrun --nproc-per-node 2 -m polypath sample --model countdown-base --out runs/2""",
    "score": """
        polypath score runs/base
        polypath score runs/base --task my_task.py:additions --out runs/again
        polypath score samples.jsonl --task countdown --split test --out runs/theirs""",
    "eval": """
        polypath eval --model countdown-base --limit 100 --out runs/base
        polypath eval --model runs/grpo --task gsm8k --n 16 --greedy --out runs/gsm8k
        polypath eval --model runs/grpo --task my_task.py:additions --out runs/mine""",
    "export": """
        polypath export runs/base --out base.jsonl
        polypath export runs/base --out base.jsonl --no-token-ids""",
    "presample": """
        polypath presample --model countdown-base --out runs/rehearsal
        polypath presample --model Qwen/Qwen2.5-Math-7B --task gsm8k --threshold 7 --out runs/set
        polypath train --config recipe.yaml --rehearsal_set runs/set""",
    "diversity": """
        polypath diversity runs/base
        polypath diversity runs/base runs/grpo --k 1,4,16 --figure curves.png
        polypath diversity samples.jsonl --key completion=response --csv metrics.csv""",
    "compare": """
        polypath compare runs/base runs/grpo runs/dra
        polypath compare base=runs/base grpo=runs/seed0,runs/seed1 --figure changes.png
        polypath compare all.jsonl --run-key model --json changes.json""",
    "similarity": """
        polypath similarity runs/base
        polypath similarity runs/base --similarity ngram,policy --model countdown-base
        polypath similarity samples.jsonl --solution-fn operations --figure pairs.png""",
    "report": """
        polypath report runs/base runs/grpo runs/dra --out report.html
        polypath report base=base.jsonl trained=trained.jsonl --task countdown""",
    "study": """
        polypath recipes studies/countdown_smoke.yaml --to studies
        polypath study studies/countdown_smoke.yaml --plan
        polypath study studies/countdown_smoke.yaml --seeds 0 --workers 2""",
    "methods": """
        polypath methods --settings
        polypath methods --settings --objectives my_method.py:MY_ENTRY""",
    "recipes": """
        polypath recipes
        polypath recipes dra_grpo/dra_grpo.yaml
        polypath recipes dra_grpo --to recipes""",
    "tasks": """
        polypath tasks
        polypath tasks show gsm8k
        polypath tasks check my_task.py:additions""",
    "tasks show": """
        polypath tasks show countdown
        polypath tasks show math500 --task-option data=math500.jsonl""",
    "tasks export": """
        polypath tasks export countdown --split train --out train.parquet
        polypath tasks export my_task.py:additions --split train --out train.parquet""",
    "tasks check": """
        polypath tasks check countdown --limit 100
        polypath tasks check my_task.py:additions --split train --json check.json""",
}


def examples(command: str) -> str:
    """Return the examples of a command as typer's ``epilog``, which it does not wrap.

    Args:
        command: words after ``polypath``, such as ``tasks show``; empty for ``polypath`` itself.
    """
    lines = EXAMPLES[command].split("\n        ")
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines if line)))
