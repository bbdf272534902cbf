"""A webhook's receiver for tests: an HTTP server on loopback that answers as it is told, and keeps what it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`answer` is sent as it stands, byte by byte with `pause` seconds between where that is set."""

    url: str = ""
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    pause: float = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def answers(self, status: int, body: str = "", **headers: str) -> None:
        sent = body.encode()
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(sent)}", *(f"{k}: {v}" for k, v in headers.items())]
        self.answer = "\r\n".join([*lines, "", ""]).encode() + sent


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            if not receiver.pause:
                self.wfile.write(receiver.answer)
                return
            for number in range(len(receiver.answer)):
                if receiver.ended.wait(receiver.pause):
                    return
                try:
                    self.wfile.write(receiver.answer[number : number + 1])
                except OSError:
                    return

        def log_message(self, *_args: object) -> None:
            """Says nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the caller hung up
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
