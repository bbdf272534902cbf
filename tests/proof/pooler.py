"""PgBouncer before the test database, on a free port of the loopback interface."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
OWNER = "postgres"  # PgBouncer refuses to run as root
WAIT_SECONDS = 10.0
POOL_SIZE = 8  # connections to the server; fewer than the clients of a test, so that they share them

CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 200
"""


@contextmanager
def running(folder: Path, mode: str) -> Iterator[str]:
    """Start PgBouncer in `folder` in mode session or transaction. Yields the test database's URL through it."""
    assert PROGRAM, "PgBouncer is missing: apt-get install pgbouncer"
    database, port = connection.settings_dict, _free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(
            host=database["HOST"] or "127.0.0.1",
            server_port=database["PORT"] or 5432,
            user=database["USER"],
            port=port,
            mode=mode,
            pool_size=POOL_SIZE if mode == "transaction" else 100,
        )
    )
    root = os.geteuid() == 0
    if root:
        os.chown(folder, pwd.getpwnam(OWNER).pw_uid, -1)
        configuration.chmod(0o644)
    process = subprocess.Popen([PROGRAM, "-q", str(configuration)], user=OWNER if root else None, cwd="/")
    try:
        _wait_until_listening(port, process)
        yield f"postgres://{database['USER']}@127.0.0.1:{port}/{database['NAME']}"
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "PgBouncer has ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("PgBouncer does not listen")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
