"""How the pool and its workers talk: lines of JSON over a socket.

No pickle: a worker that a model's text took over could not make the parent run anything. Text is
UTF-8 with lone surrogates passed through, so whatever a tokenizer decoded to arrives unchanged.

A worker is sent its settings (an object), which it answers with ``["ready"]`` or ``["failed", error
class, text]``, and then items ``[completion, gold]``, each answered, in order, with ``[status, reward,
answer, retire]``.
"""

import json
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False)
MOST_WAITING = 10  # times its deadline of processor time that an item may take by the clock


def encode(message: Any) -> bytes:
    """Return the line of a JSON-able message; JSON has no line break but the one at its end."""
    return _ENCODER.encode(message).encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes | bytearray) -> Any:
    """Undo ``encode``.

    Raises:
        ValueError: it is not one line of JSON.
    """
    return json.loads(line.decode("utf-8", "surrogatepass"))
