"""What stands in the tables of each benchmark; imports nothing, so that tables can be made anywhere."""

from collections.abc import Iterable, Sequence
from typing import Any

Result = dict[str, Any]
Table = tuple[Sequence[str], Iterable[Sequence[str]]]
KINDS = ("graph_cut", "log_det", "facility_location")


def middle(values: Sequence[float]) -> float:
    """Return the median: quartiles hold it in the middle, a single time is its own."""
    return values[len(values) // 2]


def between(values: Sequence[float], digits: int = 3) -> str:
    """Median and, where there are several values, the quartiles."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{middle(values):.{digits}f} ({values[0]:.{digits}f}-{values[-1]:.{digits}f})"


def short(seconds: float) -> str:
    """A time with three digits, in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.2g} us"


def whole(value: float) -> str:
    """A rate with three digits that mean something."""
    step = 10 ** max(0, len(str(int(value))) - 3)
    return f"{round(value / step) * step:,.0f}"


def mib(size: float | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f}"


def training(result: Result) -> list[Table]:
    """One table for each size of a step, and what embedding takes of it."""
    heads = ("arm", "CPU s a step", "ratio", "ratio without generation", "peak, MB", "peak, ratio")
    tables: list[Table] = []
    sizes = list(
        dict.fromkeys(
            (r["completions"], r["length"], r["parameters"], r.get("constant", 0.0), r["steps"])
            for r in result["rows"]
        )
    )
    for completions, length, parameters, constant, steps in sizes:
        rows = [
            row
            for row in result["rows"]
            if (row["completions"], row["length"], row["parameters"], row.get("constant", 0.0))
            == (completions, length, parameters, constant)
        ]
        title = f"{completions} x {length}, {parameters / 1e6:.0f} M, {steps} steps"
        if constant:
            title += f", {constant:.0%} equal rewards"
        cells = [
            [
                row["arm"],
                f"{middle(row['step_seconds']):.2f}",
                between(row["step_ratio"]),
                between(row["rest_ratio"]),
                f"{row['tensor_bytes'] / 1e6:.1f}",
                f"{row['tensor_ratio']:.4f}",
            ]
            for row in rows
        ]
        tables.append(((title, *heads[1:]), cells))
    embedded = [
        [
            f"{row['arm']}, {row['completions']} x {row['length']}, {row['parameters'] / 1e6:.0f} M",
            f"{middle(row['embedding_seconds']):.3f}",
            f"{100 * middle(row['embedding_share']):.0f} %",
            whole(middle(row["embedded_tokens_per_second"])),
        ]
        for row in result["rows"]
        if "embedding_share" in row
    ]
    if embedded:
        tables.append(
            (("embedding within a step", "s", "share of the step", "tokens a second"), embedded)
        )
    return tables


def recipe_steps(result: Result) -> list[Table]:
    """One table for each recipe: what a round takes and how many of its rows were left out."""
    tables: list[Table] = []
    for task in dict.fromkeys(row["task"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["task"] == task]
        heads = (
            f"{task}, {rows[0]['rounds']} rounds",
            "CPU s a round",
            "ratio",
            "groups with equal rewards",
            "rows left out",
        )
        cells = [
            [
                row["arm"],
                f"{middle(row['round_seconds']):.2f}",
                between(row["round_ratio"]),
                "" if row["equal_rewards"] is None else f"{row['equal_rewards']:.0%}",
                "" if row["rows_skipped"] is None else f"{row['rows_skipped']:.0%}",
            ]
            for row in rows
        ]
        tables.append((heads, cells))
    return tables


def sampling(result: Result) -> list[Table]:
    """What the samples of an evaluation take, by the decoding loop and by transformers' generate."""
    heads = ("evaluation", "generate, s", "here, s", "ratio", "equal completions")
    cells = [
        [
            f"{row['task']}, {row['problems']} problems x {row['samples']}",
            f"{middle(row['generate_seconds']):.2f}",
            f"{middle(row['seconds']):.2f}",
            between(row["ratio"]),
            f"{100 * row['equal']:.3f} %",
        ]
        for row in result["rows"]
    ]
    return [(heads, cells)]


def training_growth(result: Result) -> list[Table]:
    """Median ratios of time and of memory, arms by sizes."""
    names = {
        "group": "group of {}",
        "length": "{} tokens",
        "vocabulary": "{:,} words",
        "width": "{:.0f} M parameters",
    }
    rows = result["rows"]
    tables: list[Table] = []
    for size in dict.fromkeys(row["size"] for row in rows):
        of_size = [row for row in rows if row["size"] == size]
        by = {(row["arm"], row["value"]): row for row in of_size}
        values = list(dict.fromkeys(row["value"] for row in of_size))
        arms = list(dict.fromkeys(row["arm"] for row in of_size))
        shown = {row["value"]: row["value"] for row in of_size}
        if size == "width":
            shown = {row["value"]: row["parameters"] / 1e6 for row in of_size}
        cells = [
            [
                arm,
                *(
                    f"{middle(by[arm, value]['step_ratio']):.2f} / "
                    f"{by[arm, value]['tensor_ratio']:.2f}"
                    for value in values
                ),
            ]
            for arm in arms
        ]
        heads = ["time / memory", *(names[size].format(shown[value]) for value in values)]
        tables.append((heads, cells))
    return tables


def reward_adjustment(result: Result) -> list[Table]:
    rows = [row for row in result["rows"] if "similarity" in row and "sweep" not in row]
    cells = [
        [
            row["similarity"] + (", all copied" if row["copied"] else ""),
            f"{row['P']} x {row['G']} x {row['D']}",
            *(
                short(middle(row[f"{stage}_seconds"]))
                for stage in ("reference", "features", "matrix", *KINDS)
            ),
            *(f"{middle(row[f'{kind}_whole_ratio']):.1f}" for kind in KINDS),
        ]
        for row in rows
    ]
    words = [kind.replace("_", " ") for kind in KINDS]
    heads = ["similarity", "P x G x D", "bare product", "features", "matrix", *words]
    heads += [f"all of it, {word}, times the product" for word in words]
    growth = [
        [
            row["exponent"].replace("_", " "),
            row["size"],
            str(row["operations"]),
            f"{row['whole']:.2f}",
            f"{row['whole_last']:.2f}",
            f"{row['adjustment']:.2f}",
            f"{row['adjustment_last']:.2f}",
        ]
        for row in result["rows"]
        if "exponent" in row
    ]
    names = ("grows with", "size", "largest term", "whole", "its last doubling")
    return [(heads, cells), ((*names, "adjustment alone", "its last doubling"), growth)]


def embedding(result: Result) -> list[Table]:
    cells = [
        [
            f"{100 * row['repeated']:.0f} %",
            row["what"],
            f"{row['tokens']:,}",
            f"{middle(row['seconds']):.2f}",
            whole(row["tokens_per_second"]),
            between(row["time_ratio"], 2),
        ]
        for row in result["rows"]
    ]
    return [
        (("repeated", "how", "tokens", "CPU s", "tokens a second", "times plain encode"), cells)
    ]


def metrics(result: Result) -> list[Table]:
    compared = [row for row in result["rows"] if "against" in row]
    cells = [
        [
            row["what"],
            short(middle(row["seconds"])),
            row["against"],
            short(middle(row["their_seconds"])),
            between(row["times_faster"], 1),
            f"{row['largest_difference']:.0e}" if row["largest_difference"] else "0",
        ]
        for row in compared
    ]
    heads = ("what", "time", "against", "their time", "times faster", "largest difference")
    tables: list[Table] = [(heads, cells)]
    rest = [
        [
            row["what"],
            str(row["intervals"]),
            short(row["seconds"][0]),
            mib(row["peak_bytes"]),
        ]
        for row in result["rows"]
        if "against" not in row
    ]
    tables.append((("what", "intervals", "time", "peak, MiB"), rest))
    return tables


def verify(result: Result) -> list[Table]:
    cells = [
        [
            row["what"],
            row["way"],
            f"{row['answers']:,}",
            f"{100 * row['right']:.0f} %",
            whole(row["per_second"]),
            between(row["ratio_to_direct"], 2),
        ]
        for row in result["rows"]
    ]
    return [(("what", "how", "answers", "right", "answers a second", "time, times direct"), cells)]


def verify_sql(result: Result) -> list[Table]:
    (table,) = verify(result)
    heads, cells = table
    processor = [row["processor_seconds"] for row in result["rows"]]
    return [
        (
            [*heads, "processor time of a query"],
            [
                [*row, "" if seconds is None else short(seconds)]
                for row, seconds in zip(cells, processor, strict=True)
            ],
        )
    ]


def store(result: Result) -> list[Table]:
    cells = [
        [
            row["stage"],
            f"{row['rows']:,}",
            short(middle(row["seconds"])),
            short(middle(row["reference_seconds"])),
            between(row["ratio"], 1),
            mib(row["peak_bytes"]),
            mib(row["resting_bytes"]),
        ]
        for row in result["rows"]
    ]
    heads = ("stage", "rows", "time", "pyarrow alone", "ratio (CPU)", "peak, MiB", "at rest, MiB")
    return [(heads, cells)]


def report(result: Result) -> list[Table]:
    cells = [
        [
            f"{row['runs']} x {row['problems']:,} x {row['samples']}",
            row["what"],
            f"{middle(row['seconds']):.2f}",
            between(row["ratio_to_reading"], 2),
            mib(row["peak_bytes"]),
            "" if row["page_bytes"] is None else f"{row['page_bytes'] / 1e6:.1f}",
        ]
        for row in result["rows"]
    ]
    heads = ("runs x problems x samples", "phase", "CPU s", "times reading", "peak, MiB")
    return [((*heads, "page, MB"), cells)]


def cluster(result: Result) -> list[Table]:
    """Sleeping jobs, and what a node killed half-way costs."""
    sleeping, *killed = result["rows"]
    times = (f"{sleeping['seconds']:.1f} s", *(f"{100 * sleeping[k]:.1f} %" for k in BUSY))
    cells = [
        [
            row["what"],
            str(row["units"]),
            str(row["done_before_kill"]),
            str(row["begun_again"]),
            f"{row['different']} of {row['files']}",
            f"{row['seconds']:.0f} s",
            f"{row['seconds_here']:.0f} s",
        ]
        for row in killed
    ]
    heads = ("command", "units", "done before the kill", "begun again", "files that differ")
    return [
        (
            ("jobs", "time", "busy", "busy, the workers' start included"),
            [[sleeping["what"], *times]],
        ),
        ((*heads, "time", "time without Ray"), cells),
    ]


BUSY = ("busy", "busy_with_start")


def measuring(result: Result) -> list[Table]:
    cells = [
        [
            row["what"],
            f"{row['samples']:,}",
            between(row["seconds"], 1),
            between(row["before"], 1) if row["before"] else "",
            between(row["share"], 2) if row["share"] else "",
        ]
        for row in result["rows"]
    ]
    return [(("command", "samples of a run", "CPU s", "before, CPU s", "share of before"), cells)]


def quickstart(result: Result) -> list[Table]:
    named = {"cpu": "process time of it and its workers", "wall": "from start to end"}
    cells = [
        [
            named[row["what"]],
            between(row["seconds"], 0),
            between(row["before"], 0) if row["before"] else "",
            between(row["share"], 2) if row["share"] else "",
        ]
        for row in result["rows"]
    ]
    return [(("time", "s", "before, s", "share of before"), cells)]


def measuring_rows(result: Result) -> list[Table]:
    count = result["settings"]["problems"] * result["settings"]["samples"]
    cells = [
        [row["stage"], f"{row['seconds']:.1f}", f"{row['peak_bytes'] / 1e9:.1f}"]
        for row in result["rows"]
    ]
    return [((f"{count:,} samples", "CPU s", "peak, GB"), cells)]


def gpu(result: Result) -> list[Table]:
    """For each size a table of steps and one of the other parts; then reward adjustment."""
    sizes = list(dict.fromkeys(row["size"] for row in result["rows"] if "size" in row))
    tables: list[Table] = []
    for size in sizes:
        rows = [row for row in result["rows"] if row.get("size") == size]
        first = rows[0]
        title = (
            f"{size}: {first['parameters'] / 1e6:.0f} M, {first['completions']} x "
            f"{first['length']}, {first['rounds']} steps"
        )
        heads = (title, "s a step", "ratio", "ratio with generation", "peak, MB", "peak, ratio")
        tables.append((heads, [gpu_step(row) for row in rows if row["part"] == "step"]))
        others = [row for row in rows if row["part"] != "step"]
        tables.append((("part", "time", "tokens a second", "share of its step"), [
            [
                row["part"],
                short(middle(row["seconds"])),
                whole(row["tokens_per_second"]),
                between(row["share_of_step"]) if "share_of_step" in row else "",
            ]
            for row in others
        ]))  # fmt: skip
    adjusted = [row for row in result["rows"] if row["part"] == "adjustment"]
    if adjusted:
        heads = ("adjustment", "P x G x D", "embeddings", "time")
        tables.append((heads, [
            [
                row["mutual_information"].replace("_", " "),
                " x ".join(map(str, row["shape"])),
                row["embeddings"],
                short(middle(row["seconds"])),
            ]
            for row in adjusted
        ]))  # fmt: skip
    return tables


def gpu_step(row: dict[str, Any]) -> list[str]:
    held = row.get("peak_bytes", 0)
    return [
        row["arm"],
        f"{middle(row['seconds']):.4f}" if "seconds" in row else "",
        between(row["ratio"]) if "ratio" in row else "",
        between(row["ratio_with_generation"]) if "ratio_with_generation" in row else "",
        "out of memory" if held is None else f"{held / 1e6:.1f}" if held else "",
        f"{row['peak_ratio']:.4f}" if "peak_ratio" in row else "",
    ]
