"""A payment provider for the demo: it answers late, wrongly or never, as asked."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

FAULTS = 2  # how often a payment "flaky-…" is refused service before it settles


class Provider:
    """Serves ``/payments/<id>`` on loopback while its ``with`` block runs.

    What is answered follows from the id: ``flaky-…`` fails twice and settles,
    ``silent-…`` is never answered, ``refused-…`` is refused, others are open.
    """

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._change = threading.Condition()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    def __enter__(self) -> Provider:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def was_asked(self, payment: str, seconds: float) -> bool:
        """Wait until a payment was asked for; False if it was not in that time."""
        with self._change:
            return self._change.wait_for(lambda: self._asked[payment] > 0, seconds)

    def _answer(self, payment: str) -> tuple[int, dict[str, str]] | None:
        """Return status and body, None for no answer at all."""
        with self._change:
            self._asked[payment] += 1
            times = self._asked[payment]
            self._change.notify_all()
        match payment.partition("-")[0]:
            case "silent":
                return None
            case "refused":
                return 200, {"state": "Refused"}
            case "flaky" if times <= FAULTS:
                return 503, {}
            case "flaky":
                return 200, {"state": "Settled"}
            case _:
                return 200, {"state": "Pending"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = provider._answer(self.path.rpartition("/")[2])
                if answer is None:
                    provider._ended.wait()
                    return
                status, body = answer
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:
                """Stay quiet: the demo shows what matters."""

        return Handler
