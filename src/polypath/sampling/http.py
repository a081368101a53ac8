"""JSON over HTTP with patience: retries with growing, jittered waits, as long as asked to wait.

Only the standard library: threads wait for slow answers just as well as an event loop does. The
``openai`` package (3.57) would be one more dependency and still need this loop: its retries cannot be
interrupted, have waits of its own, say nothing, and stop at an answer that is no JSON.
"""

import email.utils
import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from polypath.errors import PolypathError
from polypath.sampling.settings import ServerSettings, server_host

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_SHOWN = 300  # characters of a server's message


class ServerError(PolypathError, ConnectionError):
    """A server refused a request, or could not be reached after all retries.

    Attributes:
        status: the HTTP status of its last answer, ``None`` where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Stopped(Exception):
    """The client was closed while a request waited."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Following a redirect would send the API key to whatever host it names."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class JsonClient:
    """Post JSON to one server from any number of threads.

    Args:
        server: where, and how hard to try. Waits before a retry double, and each is cut to a random
            half to whole of itself, so that many clients do not come back at once. A server's
            ``Retry-After`` counts if it is longer; beyond ten times the longest wait the request is
            given up. The API key is kept in this object alone, and cut out of every message.
        say: told once when a request is tried again.
    """

    def __init__(self, server: ServerSettings, say: Callable[[str], None]) -> None:
        self.base_url = server.base_url.rstrip("/")
        self._server, self._say, self._said = server, say, False
        self._key = os.environ.get(server.api_key_env, "").strip()
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if server_host(server.base_url) in _LOCAL:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0  # when the server said to come back; for all threads

    def close(self) -> None:
        """Wake every waiting request, which then raises ``Stopped``."""
        self._stop.set()

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send ``body`` and return the JSON object of the answer.

        Raises:
            ServerError: refused, or failed in every attempt.
            Stopped: ``close`` was called meanwhile.
        """
        data = json.dumps(body).encode()
        for attempt in range(self._server.retries + 1):
            self._wait_until(self._not_before)
            status, asked_wait = None, 0.0
            try:
                return self._once(path, data)
            except urllib.error.HTTPError as error:
                status, reason = error.code, self._reason(error)
                asked_wait = _retry_after(error.headers.get("Retry-After"))
                if status not in RETRIED:
                    self._refuse(path, status, reason)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = self._hide(str(getattr(error, "reason", error)) or type(error).__name__)
            if attempt == self._server.retries or asked_wait > 10 * self._server.longest_wait:
                break
            if not self._said:
                self._said = True
                self._say(f"{self.base_url} does not serve ({reason}); trying again ...")
            self._back_off(attempt, asked_wait)
        raise ServerError(
            f"{self.base_url}/{path} failed {attempt + 1} times, last with "
            f"{'no answer' if status is None else f'status {status}'}: {reason}.",
            status,
        ) from None

    def _once(self, path: str, data: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "User-Agent": "polypath"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(f"{self.base_url}/{path}", data, headers)
        with self._opener.open(request, timeout=self._server.timeout) as answer:
            content = json.loads(answer.read())
        if not isinstance(content, dict):
            raise ValueError(f"the answer is no JSON object but {content!r:.60}")
        return content

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
            f"{self.base_url}/{path} refused with status {status}: {reason}.{hint}", status
        )

    def _back_off(self, attempt: int, asked_wait: float) -> None:
        wait = min(self._server.longest_wait, self._server.first_wait * 2**attempt)
        wait *= random.uniform(0.5, 1.0)
        now = time.monotonic()
        if asked_wait:
            with self._lock:
                self._not_before = max(self._not_before, now + asked_wait)
        self._wait_until(now + wait)

    def _wait_until(self, moment: float) -> None:
        if self._stop.wait(max(0.0, moment - time.monotonic())):
            raise Stopped

    def _reason(self, error: urllib.error.HTTPError) -> str:
        """Return what the server says, on one line."""
        try:
            with error:
                text = error.read(100_000).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            text = ""
        try:
            told = json.loads(text)
            inner = told.get("error", told.get("detail", told))
            text = str(inner.get("message", inner) if isinstance(inner, dict) else inner)
        except (ValueError, AttributeError):
            pass
        return self._hide(" ".join(text.split())[:_SHOWN].rstrip(".") or str(error.reason))

    def _hide(self, text: str) -> str:
        return text.replace(self._key, "[API key]") if self._key else text


def _retry_after(value: str | None) -> float:
    """Return the seconds a ``Retry-After`` header asks for: a number, or a date."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
