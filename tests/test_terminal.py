"""Whatever a text holds, a terminal shows it and does nothing else."""

import ast
import io
import unicodedata
import warnings
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import polypath
from polypath.cli import main
from polypath.report.table import ReportTable, print_tables
from polypath.sampling.progress import ProgressReport
from polypath.terminal import Terminal, visible

HOSTILE = [
    *(
        "\x1b[2J\x1b[31mred",
        "\x1b]0;title\x07",
        "\x9b31m",
        "\x90q\x9c",
        "a\rb",
        "a\x08b",
        "\x00",
        "\x7f",
    ),
    *(
        "\u202egnp.exe",
        "\u2066x\u2069",
        "a\u2028b",
        "a\u2029b",
        "\x85",
        "\ud800",
        "\u200b",
        "\U000e0041",
    ),
]
KEPT = "Text [bold]with[/] brackets :smile: and ümlaut, 汉字, é, 👩"


def console(width: int = 200, **options: object) -> Terminal:
    return Terminal(file=io.StringIO(), width=width, **options)


def shown(terminal: Terminal) -> str:
    assert isinstance(terminal.file, io.StringIO)
    text = terminal.file.getvalue()
    signs = {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n"}
    assert not signs
    assert not [
        c for c in text if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "RLI", "LRI")
    ]
    text.encode()
    return text


def filled(*cells: object) -> Table:
    table = Table(title=str(cells[0]))
    table.add_column(str(cells[0]))
    table.add_row(*map(str, cells))
    return table


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_sign_gets_through_any_way_of_printing(text: str) -> None:
    terminal = console()
    terminal.print(text)
    terminal.print(Text(f"a {text}", style="bold"))
    terminal.out("one line", text)
    terminal.print(filled(text))
    table = ReportTable(title=text, columns=(text, "b"), rows=((text, text),), notes=(text,))
    print_tables(terminal, [table])
    with ProgressReport(text, 3, console=terminal) as progress:
        progress.advance(1)
    seen = shown(terminal)
    escaped = visible(text)
    assert seen.count(escaped) >= 9
    widths = {len(line) for line in seen.splitlines() if line.startswith(("┏", "┃", "│", "└"))}
    assert len(widths) == 1, "a table is measured as it is shown"


def test_other_text_is_shown_as_it_is() -> None:
    terminal = console()
    terminal.print(KEPT)
    terminal.out(KEPT)
    terminal.print(filled(KEPT))
    assert shown(terminal).count(KEPT) == 5


def test_nothing_is_lost_in_a_narrow_cell() -> None:
    table, terminal = Table(show_header=False), console(width=30)
    table.add_column(overflow="fold")
    table.add_row(Text("\x1b[2J" * 5 + "end"), "x" * 40)
    terminal.print(table)
    shown_cells = "".join(line.split("│")[1].strip() for line in shown(terminal).splitlines()[1:-1])
    assert shown_cells == "[U+001B][2J" * 5 + "end"


def test_one_line_is_one_line() -> None:
    terminal = console(width=20)
    terminal.out("a\nb\r\nc " + "long " * 20)
    assert shown(terminal).count("\n") == 1


def test_colours_and_a_live_bar_are_the_terminal_s_own() -> None:
    terminal = console(force_terminal=True, color_system="standard")
    with ProgressReport("job \x1b[2J[red]", 2, console=terminal) as progress:
        progress.advance(1)
        terminal.print(Text("styled", style="red"))
    assert isinstance(terminal.file, io.StringIO)
    text = terminal.file.getvalue()
    assert "\x1b[31mstyled\x1b[0m" in text
    assert "job [U+001B][2J[red]" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("text", HOSTILE[:-4], ids=ascii)
def test_an_error_of_the_command_is_one_visible_line(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["diversity", f"no\n{text}such"],
        ["sample", "--model", f"m{text}", "--task", f"no{text}\n"],
        [f"un{text}known"],
        ["train", "--output_dir", "x", f"--no{text}", "1"],
        ["tasks", "show", "countdown", "--split", f"a{text}b\n"],
    ):
        assert main.run(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error[:-1].isprintable()


def test_a_warning_is_shown_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    main.run(["--version"])
    assert "\x1b" not in warnings.formatwarning("a \x1b[2J", UserWarning, "f.py", 1)


def test_nothing_else_prints_to_a_terminal() -> None:
    root = Path(polypath.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        if "assets" in path.parts:  # what users copy and run
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "Console", "rich.print", "sys.stderr.write"):
                found.append((path.name, name))
    assert found == []
