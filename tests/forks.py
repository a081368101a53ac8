"""Python processes that begin with everything imported, which takes seconds: forks of one server.

    subprocess.run([*python(), "-m", "polypath", "train", ...])

starts a client that imports nothing. It hands its words, variables, folder and standard streams to a fork,
ends as that ends, and takes it along when it is killed. Its number is not the fork's: a test that needs
that starts ``sys.executable``, and so does one of what is imported.
"""

import contextlib
import json
import os
import socket
import sys
from typing import NoReturn

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ADDRESS = "POLYPATH_TEST_FORKS"
IMPORTED = (
    "peft",
    "sentence_transformers",
    "trl.trainer.grpo_trainer",
    "polypath.cli.main",
    "polypath.engines.trl",
    "polypath.sampling.run",
    "polypath.studies.run",
    "polypath.train.run",
    "tests.engines.trl.helpers",
    "tests.presampling",
)


# --- in the tests -------------------------------------------------------------------------------------

_servers = []  # (process, socket, folder), at most one


def python() -> list[str]:
    """Return the words that stand for ``python``, which ``-m MODULE``, ``-c CODE`` or a file follows.

    A launcher that is a fork itself knows modules only: it starts ``-m tests.forks -m MODULE``.
    """
    if not _servers:
        import subprocess
        import tempfile

        folder = tempfile.TemporaryDirectory(prefix="forks")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder.name}/socket")
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", "serve", str(listener.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        listener.close()
        _servers.append((server, folder))
    return [sys.executable, "-ES", __file__, "at", f"{_servers[0][1].name}/socket"]


def stop() -> None:
    """End the server, if there is one."""
    for server, folder in _servers:
        server.communicate()  # closes its stdin
        folder.cleanup()
    _servers.clear()


# --- the client ---------------------------------------------------------------------------------------


def ask(words: list[str]) -> int:
    """Have the words run by a fork; return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[ADDRESS])
        socket.send_fds(connection, [b"."], [0, 1, 2])
        asked = {"words": words, "environment": dict(os.environ), "folder": os.getcwd()}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        code = int(connection.recv(16) or b"1")
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


# --- the server ---------------------------------------------------------------------------------------


def serve(listener: socket.socket) -> None:
    """Fork for every client until stdin ends."""
    import gc
    import importlib
    import select

    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    while 0 not in select.select([listener, 0], [], [])[0]:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            keep(connection)
        connection.close()


def keep(connection: socket.socket) -> NoReturn:
    """Fork what a client asks for, and tell it the exit code; the fork ends with its client."""
    import signal
    import threading

    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    asked = json.loads(connection.makefile().readline())
    child = os.fork()
    if child == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        run(**asked)

    def end_with_the_client() -> None:
        connection.recv(1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    threading.Thread(target=end_with_the_client, daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(str(code).encode())
    os._exit(0)


def run(words: list[str], environment: dict[str, str], folder: str) -> NoReturn:
    """Do what ``python WORDS`` does."""
    import atexit
    import runpy
    import traceback

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    code: object = None
    try:
        if words[0] == "-m":
            sys.path[0], sys.argv = folder, words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.path[0], sys.argv = folder, ["-c", *words[2:]]
            exec(words[1], {"__name__": "__main__"})
        else:
            sys.path[0], sys.argv = os.path.dirname(words[0]), words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        code = traceback.format_exc()
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code or 0)  # tearing down what is imported takes half a second


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(socket.socket(fileno=int(sys.argv[2])))
    elif sys.argv[1] == "at":
        os.environ[ADDRESS] = sys.argv[2]
        sys.exit(ask(sys.argv[3:]))
    else:
        sys.exit(ask(sys.argv[1:]))
