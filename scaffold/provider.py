"""A payment provider for the demo: it answers late, wrongly or never, as asked."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = 2  # how often a payment "flaky-…" is refused service before it settles


@contextmanager
def provider() -> Iterator[str]:
    """Serve ``/payments/<id>`` on loopback and yield the base URL.

    What is answered follows from the id: ``flaky-…`` fails twice and settles,
    ``silent-…`` is never answered, ``refused-…`` is refused, others are open.
    """
    ended = threading.Event()
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            payment = self.path.rpartition("/")[2]
            asked[payment] += 1
            if payment.startswith("silent-"):
                ended.wait()
                return
            if payment.startswith("flaky-") and asked[payment] <= FAULTS:
                self._answer(503, {})
            elif payment.startswith("flaky-"):
                self._answer(200, {"state": "Settled"})
            elif payment.startswith("refused-"):
                self._answer(200, {"state": "Refused"})
            else:
                self._answer(200, {"state": "Pending"})

        def _answer(self, status: int, body: dict[str, str]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay quiet: the demo shows what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
