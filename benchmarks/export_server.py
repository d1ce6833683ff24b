"""A Cleanlist that only serves one list, from files written beforehand.

Usage: ``export_server.py <folder> <rows> <whether ids are random: 0 or 1>``. It costs next to nothing, so that what is
measured against it is the reader. Prints its port, then serves until its standard input ends; ``GET /count`` returns
how many requests it served since the last ``GET /count``, by kind.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loading_data import LIST_ID, PAGE_ROWS, Data

API_KEY = "clapi_benchmark_0123456789"


class Server(ThreadingHTTPServer):
    """Serves the files of one size.

    Args:
        data: The files.
    """

    daemon_threads = True

    def __init__(self, data: Data) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = data
        self.counts: Counter[str] = Counter()
        self.offsets = [0]
        with data.pages.open("rb") as pages:
            for line in pages:
                self.offsets.append(self.offsets[-1] + len(line))


class Handler(BaseHTTPRequestHandler):
    """Answers what readers of a list ask."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer with the address of the file."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.counts["address"] += 1
        data = self.server.data
        host, port = self.server.server_address[:2]
        self._send_json(
            {
                "list_id": LIST_ID,
                "download_url": f"http://{host!s}:{port}/file.csv?sig=0123456789abcdef",
                "expires_at": "2099-01-01T00:00:00Z",
                "row_count": data.rows,
                "file_size_bytes": data.export.stat().st_size,
            }
        )

    def do_GET(self) -> None:
        """Answer with the file, a page, the list or the counts."""
        url = urlsplit(self.path)
        if url.path == "/count":
            counts, self.server.counts = self.server.counts, Counter()
            self._send_json(counts)
        elif url.path == "/file.csv":
            self.server.counts["download"] += 1
            self._send_part(self.server.data.export, 0, self.server.data.export.stat().st_size, "text/csv")
        elif url.path.endswith("/leads"):
            self.server.counts["page"] += 1
            number = int(parse_qs(url.query).get("cursor", ["0"])[0]) // PAGE_ROWS
            begin, end = self.server.offsets[number : number + 2]
            self._send_part(self.server.data.pages, begin, end - begin, "application/json")
        else:
            self.server.counts["list"] += 1
            self._send_json(
                {
                    "list_id": LIST_ID,
                    "name": "A list",
                    "lead_count": self.server.data.rows,
                    "enriched_count": 0,
                }
            )

    def _send_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_part(self, file: Path, begin: int, size: int, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("ETag", f'"{file.name}"')
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.flush()
        with file.open("rb") as source:
            while size:
                sent = os.sendfile(self.connection.fileno(), source.fileno(), begin, size)
                begin, size = begin + sent, size - sent

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    server = Server(Data(Path(sys.argv[1]), int(sys.argv[2]), random_ids=sys.argv[3] == "1"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
