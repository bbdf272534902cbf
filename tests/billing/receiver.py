"""A webhook receiver for tests: a loopback HTTP server with a configurable response that stores its requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`answer` is the raw response; with a `pause` it is sent byte by byte, `pause` seconds apart."""

    url: str = ""
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    pause: float = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def answer_with(self, status: int, body: str = "", **headers: str) -> None:
        content = body.encode()
        lines = [
            f"HTTP/1.1 {status} Reason",
            f"Content-Length: {len(content)}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        self.answer = "\r\n".join([*lines, "", ""]).encode() + content


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.requests.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            if not receiver.pause:
                self.wfile.write(receiver.answer)
                return
            for number in range(len(receiver.answer)):
                if receiver.stopped.wait(receiver.pause):
                    return
                try:
                    self.wfile.write(receiver.answer[number : number + 1])
                except OSError:
                    return

        def log_message(self, *_args: object) -> None:
            """Logs nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client disconnected
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
