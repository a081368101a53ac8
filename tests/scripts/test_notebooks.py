"""The site's notebooks: what is stored in them is what their cells print, and the site shows it.

`make check-notebooks`, which CI runs, runs them from top to bottom.
"""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("mkdocs")
pages = pytest.importorskip("notebook_pages", reason="scripts/ is not here")
runs = pytest.importorskip("run_notebooks", reason="scripts/ is not here")

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
PIXEL = base64.b64encode(b"\x89PNG").decode()


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printing(*sources: str) -> Any:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title\n"), *cells])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_from_top_to_bottom_as_it_is(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    stored = notebook.metadata[runs.SOURCE_KEY]
    assert stored == runs.source_hash(notebook), "a cell was edited: run `make notebooks`"
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output.output_type for cell in code_cells(notebook) for output in cell.outputs}
    assert "error" not in kinds
    streams = (o for c in code_cells(notebook) for o in c.outputs if o.output_type == "stream")
    assert all(output.name == "stdout" for output in streams), "a warning is stored"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_number_in_the_prose_is_one_that_a_cell_prints(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    printed = " ".join(
        output.get("text", "") for cell in code_cells(notebook) for output in cell.outputs
    )
    known = set(re.findall(r"\d*\.\d+", printed))
    prose = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    told = set(re.findall(r"(?<![\w/])\d*\.\d+", re.sub(r"```.*?```", "", prose, flags=re.DOTALL)))
    assert {number.lstrip("0") for number in told} <= {number.lstrip("0") for number in known}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_page_of_the_site_and_linked(path: Path) -> None:
    place = path.relative_to(DOCS).as_posix()
    site = yaml.load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    assert "scripts/notebook_pages.py" in site["hooks"]
    assert place in str(site["nav"])
    for page in ("index.md", "read.md"):
        assert f"({place})" in (DOCS / page).read_text(encoding="utf-8"), page
    notebook = nbformat.read(path, as_version=4)
    shown = pages.markdown(notebook, path.name)
    assert all(cell.source in shown for cell in notebook.cells[1:])
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert shown.count("](data:image/png;base64,") == sum(
        "image/png" in output.get("data", {}) for output in outputs
    )
    for output in outputs:
        assert output.get("text", "").strip() in shown


def test_a_run_stores_what_cells_print_and_compares_words_only() -> None:
    pytest.importorskip("ipykernel")
    source = "import random\nprint('pass@1 rose by', random.random())"
    first, second = runs.run(printing(source)), runs.run(printing(source))
    assert first.cells[1].outputs != second.cells[1].outputs
    assert runs.differences(first, second) == []
    first.cells[1].outputs[0].text = "pass@1 fell by 0.5"
    (line,) = runs.differences(first, second)
    assert "code cell 1" in line
    for notebook in (first, second):
        notebook.cells[1].metadata.tags = [runs.VARIES]
    assert runs.differences(first, second) == []
    second.cells[1].outputs = []
    assert len(runs.differences(first, second)) == 1
    assert first.metadata[runs.SOURCE_KEY] == runs.source_hash(printing(source))


def test_a_cell_that_fails_is_no_run() -> None:
    pytest.importorskip("ipykernel")
    with pytest.raises(runs.CellExecutionError, match="ZeroDivisionError"):
        runs.run(printing("print('before')", "1 / 0"))


def test_progress_and_colours_are_not_stored() -> None:
    cell = nbformat.v4.new_code_cell("x")
    told = "\x1b[2Ksampling \x1b[90m━━\x1b[0m 8/8\n\x1b[?25h\x1b[1;31mred\x1b[0m one\n"
    shown = nbformat.v4.new_output("stream", text=told)
    gone = nbformat.v4.new_output("stream", name="stderr", text="\x1b[2K⠼ Reading\n\x1b[1A\x1b[2K")
    cell.outputs = [shown, gone]
    runs.tidy(cell)
    assert [output.text for output in cell.outputs] == ["red one\n"]


@pytest.mark.parametrize(
    ("data", "metadata", "fact"),
    [
        ({"image/png": PIXEL, "text/plain": "<Figure>"}, {}, "alt"),
        ({"text/html": "<b>bold</b>"}, {}, "neither"),
    ],
)
def test_what_the_site_cannot_show_is_refused(
    data: dict[str, str], metadata: dict[str, Any], fact: str
) -> None:
    notebook = printing("x")
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    notebook.cells[1].outputs = [output]
    with pytest.raises(ValueError, match=fact):
        pages.markdown(notebook, "a.ipynb")
