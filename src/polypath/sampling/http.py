"""JSON over HTTP with retries: waits grow and have random jitter, and follow the server's requests.

It uses only the standard library, because threads wait for slow answers as well as an event loop. The
``openai`` package (3.57) would be one more dependency and still need this loop: its retries cannot be
interrupted, have their own waits, report nothing, and stop at an answer that is not JSON.
"""

import contextlib
import email.utils
import http.client
import io
import json
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn, TypeVar

from polypath.credentials import one_line
from polypath.errors import PolypathError
from polypath.sampling.settings import ServerSettings, server_host, server_key

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
MOST_BYTES = 1 << 26  # of an answer: a hundred times the size of thousands of tokens with log-probs
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_SHOWN = 300  # characters of a server's message
_READ = 100_000  # bytes that are read of a refusal

# A server that took the request and then was slow, hung up or answered nonsense may serve another.
_OF_REQUEST = (TimeoutError, ConnectionResetError, BrokenPipeError, http.client.HTTPException)

Read = TypeVar("Read")


class ServerError(PolypathError, ConnectionError):
    """A server refused a request, or could not be reached in all retries.

    Attributes:
        status: the HTTP status of its last answer, ``None`` if there was none.
        of_request: whether another request may succeed: this one was refused, or was answered too slowly
            or unreadably.
    """

    def __init__(
        self, message: str, status: int | None = None, *, of_request: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.of_request = status, of_request


class Stopped(Exception):
    """The client was closed while a request was waiting."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, because following one would send the API key to any host that it names."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Until(io.RawIOBase):
    """What a socket receives before a deadline; its own timeout would restart with every byte."""

    def __init__(self, raw: Any, sock: socket.socket, end: float) -> None:
        self._raw, self._sock, self._end = raw, sock, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not complete in time")
        self._sock.settimeout(left)
        received: int | None = self._raw.readinto(buffer)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *rest: Any, end: float, **named: Any) -> None:
        super().__init__(sock, *rest, **named)
        self.fp = io.BufferedReader(_Until(self.fp.detach(), sock, end))


def _connection(
    kind: type[http.client.HTTPConnection], host: str, **named: Any
) -> http.client.HTTPConnection:
    """Make a connection whose timeout covers the whole request."""
    made = kind(host, **named)
    end = time.monotonic() + named["timeout"]
    made.response_class = partial(_Answer, end=end)  # type: ignore[assignment]
    return made


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_connection, http.client.HTTPConnection), request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_connection, http.client.HTTPSConnection), request)


class JsonClient:
    """Post JSON to one server from any number of threads.

    Args:
        server: where the server is, and how often to retry. Waits before a retry double. Each is cut to a
            random value between half and all of it, so that many clients do not return at once. A server's
            ``Retry-After`` counts if it is longer. Beyond ten times the longest wait the request is
            given up. Its ``timeout`` covers one attempt, from connecting to the last byte.
        say: called once when a request is retried.

    Raises:
        ConfigError: the API key cannot be sent.
    """

    def __init__(self, server: ServerSettings, say: Callable[[str], None]) -> None:
        self.base_url = server.base_url.rstrip("/")
        self._server, self._say, self._said = server, say, False
        self._key = server_key(server.api_key_env)
        handlers: list[urllib.request.BaseHandler] = [*(_NoRedirect(), _Http(), _Https())]
        if server_host(server.base_url) in _LOCAL:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0  # when the server allows the next request; for all threads

    def close(self) -> None:
        """Wake every waiting request, which then raises ``Stopped``."""
        self._stop.set()

    def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], Read]
    ) -> Read:
        """Send ``body``, and return the result of ``read`` for the JSON object of the answer.

        If ``read`` raises ValueError for an answer, the request has failed and is retried.

        Raises:
            ServerError: refused, or failed in every attempt.
            Stopped: ``close`` was called in the meantime.
        """
        data = json.dumps(body).encode()
        for attempt in range(self._server.retries + 1):
            self._wait_until(self._not_before)
            status, asked_wait, of_request = None, 0.0, False
            try:
                with self._open(path, data) as answer:
                    status, of_request = answer.status, True
                    return read(_object(_body(answer)))
            except urllib.error.HTTPError as error:
                status, reason = error.code, _reason(error)
                asked_wait = _retry_after(error.headers.get("Retry-After"))
                if status not in RETRIED:
                    self._refuse(path, status, reason)
            except (OSError, http.client.HTTPException, ValueError) as error:
                cause = getattr(error, "reason", error)
                of_request |= isinstance(cause, _OF_REQUEST)
                reason = one_line(cause, _SHOWN) or type(error).__name__
            if attempt == self._server.retries or asked_wait > 10 * self._server.longest_wait:
                break
            if not self._said:
                self._said = True
                self._say(f"{self.base_url} does not serve ({reason}); retrying ...")
            self._back_off(attempt, asked_wait)
        raise ServerError(
            f"{self.base_url}/{path} failed {attempt + 1} times, last with "
            f"{'no answer' if status is None else f'status {status}'}: {reason}.",
            status,
            of_request=of_request,
        ) from None

    def _open(self, path: str, data: bytes) -> Any:
        headers = {"Content-Type": "application/json", "User-Agent": "polypath"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(f"{self.base_url}/{path}", data, headers)
        return self._opener.open(request, timeout=self._server.timeout)

    def _refuse(self, path: str, status: int, reason: str) -> NoReturn:
        hint = ""
        if status in (401, 403):
            held = "is sent" if self._key else "is not set"
            name = self._server.api_key_env
            hint = f" The API key is taken from the environment variable {name}, which {held}."
        elif status == 404:
            hint = (
                " Check the model's name, and that base_url ends as the server wants (often /v1)."
            )
        raise ServerError(
            f"{self.base_url}/{path} refused with status {status}: {reason}.{hint}",
            status,
            of_request=status not in (401, 403, 404),
        )

    def _back_off(self, attempt: int, asked_wait: float) -> None:
        wait = min(self._server.longest_wait, self._server.first_wait * 2.0 ** min(attempt, 100))
        wait *= random.uniform(0.5, 1.0)
        now = time.monotonic()
        if asked_wait:
            with self._lock:
                self._not_before = max(self._not_before, now + asked_wait)
        self._wait_until(now + wait)

    def _wait_until(self, moment: float) -> None:
        if self._stop.wait(max(0.0, moment - time.monotonic())):
            raise Stopped


def _body(answer: Any) -> bytes:
    """Return the whole body of an answer.

    Raises:
        ValueError: it is longer than ``MOST_BYTES``.
        HTTPException: it ends before its announced length.
    """
    found = bytearray()
    while piece := answer.read1(1 << 16):
        found += piece
        if len(found) > MOST_BYTES:
            raise ValueError(f"the answer is longer than {MOST_BYTES >> 20} MiB")
    if answer.length:
        raise http.client.IncompleteRead(bytes(found), answer.length)
    return bytes(found)


def _object(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        ValueError: the body is not one, or is nested too deeply to be read.
    """
    try:
        content = json.loads(body)
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"the answer is not a JSON object but of type {type(content).__name__}")
    return content


def told(content: Mapping[str, Any]) -> str:
    """Return the message in a refusal; if it has none, return all of it."""
    inner = content.get("error") or content.get("detail") or content
    try:
        return str(inner.get("message", inner) if isinstance(inner, dict) else inner)
    except RecursionError:
        return "a message that is nested too deeply"


def _reason(error: urllib.error.HTTPError) -> str:
    """Return the server's message, on one line."""
    try:
        with error:
            body = error.read(_READ)
    except (OSError, http.client.HTTPException, ValueError):
        body = b""
    text = body.decode(errors="replace")
    if len(body) == _READ:
        text = text[: text.rstrip().rfind(" ") + 1]  # the part that was cut may be the end of a key
    with contextlib.suppress(ValueError):
        text = told(_object(text))
    return one_line(text, _SHOWN).rstrip(".") or one_line(error.reason, _SHOWN)


def _retry_after(value: str | None) -> float:
    """Return the seconds that a ``Retry-After`` header requests: a number, or a date."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0
