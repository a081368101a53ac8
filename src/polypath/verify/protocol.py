"""How the pool and its workers talk: lines of JSON over a socket.

No pickle: a worker that a model's text took over could not make the parent run anything. Text is
UTF-8 with lone surrogates passed through, so whatever a tokenizer decoded to arrives unchanged.

A worker is sent its settings (an object), which it answers with ``["ready"]`` or ``["failed", error
class, text]``, and then lists of items ``[completion, gold]``. Each item is answered, in order, with a
line ``[status, reward, answer, retire]``, written before the next item begins: what ends the worker takes
no answer along. To wake the parent for each would cost as much as to verify a number, so a worker rings a
bell, one byte on a second socket, for many answers at once.
"""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_USUAL = {0.0: "0.0", 1.0: "1.0"}  # rewards
MOST_WAITING = 10  # times its deadline of processor time that an item may take by the clock


def encode(message: Any) -> bytes:
    """Return the line of a JSON-able message; JSON has no line break but the one at its end."""
    return _ENCODER.encode(message).encode("utf-8", "surrogatepass") + b"\n"


def encode_answer(status: str, reward: float, answer: str | None, *, retire: bool) -> bytes:
    """Return ``encode([status, reward, answer, retire])``, in a third of the time."""
    number = _USUAL.get(reward) or _ENCODER.encode(reward)
    text = "null" if answer is None else _ENCODER.encode(answer)
    line = f'["{status}",{number},{text},{"true" if retire else "false"}]\n'
    return line.encode("utf-8", "surrogatepass")


def decode_lines(
    lines: Sequence[bytes | bytearray],
) -> tuple[list[Any], Sequence[bytes | bytearray]]:
    """Undo ``encode`` for several lines at once, up to the first that is malformed.

    Returns:
        The messages, and the lines from the malformed one on.

    Raises:
        ValueError: the first line is not a line of JSON.
    """
    with contextlib.suppress(ValueError):
        found: list[Any] = decode(b"[%b]" % b",".join(lines))
        if len(found) == len(lines):
            return found, []
    found = [decode(lines[0])]
    for n, line in enumerate(lines[1:], 1):
        try:
            found.append(decode(line))
        except ValueError:
            return found, lines[n:]
    return found, []


def decode(line: bytes | bytearray) -> Any:
    """Undo ``encode``.

    Raises:
        ValueError: it is not one line of JSON.
    """
    return json.loads(line.decode("utf-8", "surrogatepass"))
