"""A private PostgreSQL server that a test may stop: in a temporary folder, on a free port, from Debian's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BIN_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
OWNER = "postgres"  # the server refuses to run as root
WAIT_SECONDS = "30"


class Cluster:
    """One server, reachable without a password on the loopback interface only."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._data = folder / "data"
        self._user = OWNER if os.geteuid() == 0 else None
        self.program("initdb", "--auth=trust", f"--username={OWNER}", "--no-sync", "-D", str(self._data))

    def url(self, database: str) -> str:
        return f"postgres://{OWNER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._data} -c fsync=off"
        log = str(self._data / "log")
        self.program("pg_ctl", "start", "-w", "-t", WAIT_SECONDS, "-D", str(self._data), "-l", log, "-o", options)

    def stop(self) -> None:
        """Stops the server without waiting for clients to disconnect."""
        self.program("pg_ctl", "stop", "-w", "-t", WAIT_SECONDS, "-m", "fast", "-D", str(self._data))

    def signal(self, number: signal.Signals) -> None:
        """Signals the server and its backends: SIGSTOP makes the database hang, SIGCONT resumes it (Linux)."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        backends = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        for pid in (server, *map(int, backends)):
            with suppress(ProcessLookupError):  # it has ended already
                os.kill(pid, number)

    def program(self, name: str, *arguments: str) -> str:
        """Runs one of PostgreSQL's programs. Returns its output."""
        command = [str(BIN_FOLDERS[-1] / name), *arguments]
        completed = subprocess.run(
            command, user=self._user, cwd="/", check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert completed.returncode == 0, completed.stdout
        return completed.stdout


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A started cluster in `folder`, stopped at the end if it still runs. Skips the test where PostgreSQL is not installed."""
    if not BIN_FOLDERS:
        pytest.skip("PostgreSQL's server programs are not in /usr/lib/postgresql")
    if os.geteuid() == 0:
        _change_owner(folder)
    cluster = Cluster(folder)
    cluster.start()
    try:
        yield cluster
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            cluster.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)


def _change_owner(folder: Path) -> None:
    try:
        owner = pwd.getpwnam(OWNER)
    except KeyError:
        pytest.skip("no user postgres, and PostgreSQL does not run as root")
    os.chown(folder, owner.pw_uid, owner.pw_gid)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
