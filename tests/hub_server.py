"""A small Hugging Face hub: what its download protocol needs to serve directories of files.

`GET` and `HEAD /{organisation/model}/resolve/{revision}/{file}` answer as the real hub does for
files that are not in its large-file storage. Other commits than the newest lie in directories
`organisation/model@commit`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        repository, separator, rest = self.path.removeprefix("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        older = revision not in ("main", COMMIT)
        commit = revision if older else COMMIT
        directory = self.server.root / (f"{repository}@{commit}" if older else repository)
        if older and not directory.is_dir():
            self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        elif not separator or not directory.is_dir():
            # The real hub hides whether a private model exists behind 401.
            self._refuse(HTTPStatus.UNAUTHORIZED, "RepoNotFound")
        elif (directory / "GATED").exists():
            self._refuse(HTTPStatus.FORBIDDEN, "GatedRepo")
        elif not (directory / name).is_file():
            self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound", commit)
        else:
            self._send((directory / name).read_bytes(), commit, with_body=with_body)

    def _send(self, content: bytes, commit: str, *, with_body: bool) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _refuse(self, status: HTTPStatus, code: str, commit: str = "") -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()


class HubServer(ThreadingHTTPServer):
    """Serves the directories under `root` as models; `requests` lists what was asked."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_hub(root: Path) -> Iterator[HubServer]:
    """A hub that serves `root` until the block ends."""
    server = HubServer(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hub_environment(endpoint: str, home: Path) -> dict[str, str]:
    """The environment of a process that uses the hub at `endpoint` and an own cache in `home`."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("HF_") and "proxy" not in name.lower()
    }
    return inherited | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
