"""As much of the Hugging Face Hub's HTTP interface as uploading and downloading a folder takes, in memory.

The paths and fields are those that huggingface_hub 2.4.0 asks for; every file is a regular one, none in LFS or Xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_COMMIT = "a" * 40


class _Hub(ThreadingHTTPServer):
    """One repository, with one commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.files: dict[str, bytes] = {}
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class _Requests(BaseHTTPRequestHandler):
    server: _Hub

    def do_POST(self) -> None:
        body = self._body()
        if "/preupload/" in self.path:
            asked = [each["path"] for each in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in asked]
            return self._answer({"files": modes})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.server.endpoint}/acme/models/commit/{_COMMIT}"
            return self._answer({"commitUrl": url, "commitOid": _COMMIT, "success": True})
        return self._answer({}, 404)

    def do_GET(self) -> None:
        if found := re.search(r"/resolve/[^/]+/(.+)$", self.path):
            content = self.server.files[found[1]]
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": _COMMIT}
            return self._answer(content, headers=headers)
        files = self.server.files
        if "/tree/" in self.path:
            return self._answer(
                [
                    {"type": "file", "path": path, "size": len(held), "oid": hashlib.sha1(held).hexdigest()}
                    for path, held in files.items()
                ]
            )
        told = {"_id": "1", "id": "acme/models", "sha": _COMMIT, "private": False, "tags": [], "downloads": 0}
        return self._answer({**told, "likes": 0, "siblings": [{"rfilename": path} for path in files]})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, held: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = held if isinstance(held, bytes) else json.dumps(held).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def hub() -> Iterator[_Hub]:
    """A Hub at `endpoint`, whose `files` are by their paths in the repository."""
    served = _Hub()
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.shutdown()
        served.server_close()
        thread.join()
