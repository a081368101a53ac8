"""Run the notebooks of the site from top to bottom, and keep or check what they print.

    python scripts/run_notebooks.py            # after an edit: store the outputs in the notebooks
    python scripts/run_notebooks.py --check    # what CI does: fail if a cell fails or prints something else

Each runs in an empty folder, in a kernel of this Python. ``--check`` leaves the files alone. It compares
outputs without their numbers: training gives others on another processor. Words have to agree, except in
cells with the tag ``varies``: what they print depends on how two trainings came out.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SOURCE_KEY = "source_sha256"  # in a notebook's metadata: of the cells that gave its outputs
VARIES = "varies"
NUMBER = re.compile(r"[-+<]*\d*\.?\d+")
PROGRESS = re.compile(r"\x1b\[2K[^\n]+\n")  # a line that was written anew
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SECONDS = 1200  # for one cell, on a busy machine


def source_hash(notebook: nbformat.NotebookNode) -> str:
    """Return the SHA-256 of all code cells: what the outputs depend on."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def run(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a run in an empty folder.

    Raises:
        CellExecutionError: a cell failed.
    """
    ran = nbformat.from_dict(notebook)
    # One thread: tiny models lose time to hand-over. No network, no progress bars, lines of one length.
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TQDM_DISABLE="1", COLUMNS="88")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            ran,
            AsyncKernelManager(  # by sockets in the folder: no port that others could reach
                kernel_name="python3", transport="ipc", ip=f"{folder}/.kernel"
            ),
            timeout=SECONDS,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute()
    for cell in ran.cells:
        if cell.cell_type == "code":
            tidy(cell)
    ran.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        SOURCE_KEY: source_hash(ran),
    }
    return ran


def tidy(cell: nbformat.NotebookNode) -> None:
    """Take out of a cell's outputs what a terminal would not leave on the screen: progress and colours."""
    for output in cell.outputs:
        if output.output_type == "stream":
            output.text = CONTROL.sub("", PROGRESS.sub("", output.text))
    cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or o.text.strip()]


def printed(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Return what each code cell printed: words without numbers, and the kinds of what is no text."""
    return [
        [_said(output, varies=VARIES in cell.metadata.get("tags", ())) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _said(output: nbformat.NotebookNode, *, varies: bool) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return "a picture"
    text = output.get("text", data.get("text/plain", ""))
    return "some text" if varies else " ".join(NUMBER.sub("#", text).split())


def differences(stored: nbformat.NotebookNode, ran: nbformat.NotebookNode) -> list[str]:
    """Return a line for each code cell that printed something else than is stored."""
    pairs = zip(printed(stored), printed(ran), strict=True)
    return [
        f"code cell {place}: stored {before}, printed {after}"
        for place, (before, after) in enumerate(pairs, 1)
        if before != after
    ]


def main() -> int:
    """Run all notebooks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and change no file")
    parser.add_argument("notebooks", nargs="*", type=Path, default=NOTEBOOKS)
    options = parser.parse_args()
    wrong = []
    for path in options.notebooks:
        stored, started = nbformat.read(path, as_version=4), time.monotonic()
        try:
            ran = run(stored)
        except CellExecutionError as error:
            wrong.append(f"{path.name}: {error}")
            continue
        print(f"{path.name}: ran in {time.monotonic() - started:.0f} s", flush=True)
        if options.check:
            wrong += [f"{path.name}, {line}" for line in differences(stored, ran)]
        else:
            nbformat.write(ran, path)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        print("Look at these cells; `make notebooks` stores new outputs.", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
