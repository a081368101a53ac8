"""Write the tables of docs/performance.md from the results of the benchmarks.

A generated part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``: NAME is ``bars`` or the
name of a results file, ``benchmarks/results/NAME.json``. Where there is no such file the part says
that nothing was measured yet.

    python benchmarks/tables.py           # write docs/performance.md anew
    python benchmarks/tables.py --check   # say whether it is as it would be written
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from table_rows import (
    cluster,
    embedding,
    gpu,
    measuring,
    measuring_rows,
    metrics,
    quickstart,
    recipe_steps,
    report,
    reward_adjustment,
    sampling,
    store,
    training,
    training_growth,
    verify,
    verify_sql,
)

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
PART = re.compile(r"<!-- begin (?P<name>\w+) -->\n.*?<!-- end (?P=name) -->", re.DOTALL)
NOTHING = "Not measured yet."
FIGURES = {  # drawn by figures.py from the same results
    "training_growth": "![time and memory as a step grows](training_growth.png)",
    "reward_adjustment": "![growth with P, G and D](reward_adjustment.png)",
}

Result = dict[str, Any]
Table = tuple[Sequence[str], Iterable[Sequence[str]]]  # heads, rows

TABLES: dict[str, Callable[[Result], list[Table]]] = {
    "training": training,
    "training_growth": training_growth,
    "recipe_steps": recipe_steps,
    "sampling": sampling,
    "reward_adjustment": reward_adjustment,
    "embedding": embedding,
    "metrics": metrics,
    "verify": verify,
    "verify_sql": verify_sql,
    "store": store,
    "report": report,
    "cluster": cluster,
    "measuring": measuring,
    "measuring_rows": measuring_rows,
    "quickstart": quickstart,
    "gpu": gpu,
}


def markdown(table: Table) -> str:
    heads, rows = table
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def bars_table(results: Iterable[Result]) -> Table:
    """What every bar asks, what was measured, and whether it is kept."""
    rows = [
        [
            bar["name"],
            f"at {bar['at']} {number(bar['limit'])}",
            number(bar["value"]),
            "kept" if bar["kept"] else "**missed**",
        ]
        for result in results
        for bar in result["bars"]
    ]
    return ("bar", "limit", "measured", ""), rows


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def machine_line(result: Result) -> str:
    """Say when, where and with what it was measured."""
    told = result["environment"]
    load = told["load_at_start"]
    versions = ", ".join(f"{name} {what}" for name, what in told["versions"].items() if what)
    parts = [
        f"Measured {told['date']} on "
        + (f"one {told['gpu']} (CUDA {told['cuda']}) and " if told.get("gpu") else "")
        + f"{told['cores']} cores of {told['cpu']}"
        + (f", load {load[0]:.1f} at the start" if load else ""),
        f"Python {told['python']}",
        versions,
        f"commit {(told['commit'] or 'unknown')[:7]}" + (" with changes" if told["dirty"] else ""),
    ]
    return "; ".join(part for part in parts if part) + "."


def everything(result: Result) -> str:
    """Return all tables of a results file, its bars last, and where it was measured."""
    blocks = [markdown(table) for table in TABLES[result["benchmark"]](result)]
    if result["bars"]:
        blocks.append(markdown(bars_table([result])))
    return "\n\n".join([*blocks, machine_line(result)])


def part(name: str, results: dict[str, Result]) -> str:
    """Return what stands between the markers of a part."""
    if name == "bars":
        have = [result for result in results.values() if result["bars"]]
        return markdown(bars_table(have)) if have else NOTHING
    result = results.get(name)
    if result is None:
        return NOTHING
    tables = [markdown(table) for table in TABLES[result["benchmark"]](result)]
    figure = [FIGURES[name]] if name in FIGURES else []
    return "\n\n".join([f"    {result['command']}", machine_line(result), *tables, *figure])


def read(folder: Path = RESULTS) -> dict[str, Result]:
    """Return the results by the names of their files, in the order of TABLES."""
    found = {file.stem: json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")}
    known = {stem: result for stem, result in found.items() if result["benchmark"] in TABLES}
    order = list(TABLES)
    names = sorted(known, key=lambda stem: (order.index(known[stem]["benchmark"]), stem))
    return {name: known[name] for name in names}


def written(page: str, results: dict[str, Result]) -> str:
    """Return the page with its generated parts made anew."""

    def anew(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- begin {name} -->\n{part(name, results)}\n<!-- end {name} -->"

    return PART.sub(anew, page)


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--check", action="store_true", help="write nothing")
    check = made.parse_args().check
    page = PAGE.read_text("utf-8")
    new = written(page, read())
    if check and new != page:
        raise SystemExit(
            "docs/performance.md is not what the results make it. Run: python benchmarks/tables.py"
        )
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
