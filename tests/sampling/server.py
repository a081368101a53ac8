"""A small real server of the OpenAI API, whose faults a test chooses."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """What the server does, and what it saw.

    Attributes:
        fault: given the number of a request (from 0) and its body, returns ``None`` to serve it, a
            status with headers and body, or "disconnect", "half", "garbage", "empty", or "drip head" and
            "drip body": from there on one byte at a time, for ever.
        most_choices: the largest ``n`` that is honoured.
        delay: seconds a request takes.
    """

    fault: Callable[[int, dict[str, Any]], Any] = lambda *_: None
    most_choices: int = 128
    delay: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def choices(body: dict[str, Any], behaviour: Behaviour) -> list[dict[str, Any]]:
    found = []
    for index in range(min(body["n"], behaviour.most_choices)):
        prompt = body.get("prompt") or body["messages"][-1]["content"]
        text = f"{prompt} {body['seed']} {index}"
        choice: dict[str, Any] = {"index": index, "finish_reason": ["stop", "length"][index % 2]}
        if "prompt" in body:
            choice["text"] = text
        else:
            choice["message"] = {"role": "assistant", "content": text}
        found.append(choice)
    return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def do_POST(self) -> None:
        b = self.behaviour
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with b.lock:
            number = len(b.requests)
            b.requests.append(body)
            b.paths.append(self.path)
            b.headers.append(dict(self.headers))
            b.times.append(time.monotonic())
            b.under_way += 1
            b.most_under_way = max(b.most_under_way, b.under_way)
        time.sleep(b.delay)
        fault = b.fault(number, body)
        with b.lock:
            b.under_way -= 1
        self.close_connection = True
        if fault == "disconnect":
            return
        told = choices(body, b)
        answer = json.dumps({"choices": told, "usage": {"completion_tokens": 3 * len(told)}})
        if isinstance(fault, tuple):
            status, headers, answer = fault
            self.reply(status, answer, headers)
        elif fault in ("drip head", "drip body"):
            self.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (fault == "drip head"), fault[5:])
        elif fault == "half":
            self.reply(200, answer, {}, length=len(answer) + 100)
        elif fault == "garbage":
            self.reply(200, "<html>busy</html>", {})
        elif fault == "empty":
            self.reply(200, json.dumps({"choices": []}), {})
        else:
            self.reply(200, answer, {})

    def reply(
        self, status: int, text: str, headers: dict[str, str], length: int | None = None
    ) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def drip(self, start: bytes, part: str) -> None:
        self.wfile.write(start if part == "head" else start + b"\r\n")
        with suppress(OSError):  # the client has had enough
            while True:
                self.wfile.write(b"a" if part == "head" else b" ")
                time.sleep(0.02)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Run the server; yield its base URL."""
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
