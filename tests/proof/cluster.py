"""A PostgreSQL of the proof's own, which may be stopped: in a temporary folder, on a free port, by Debian's programs."""

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

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
OWNER = "postgres"  # its server refuses to run as root
WAIT = "30"  # seconds


class Cluster:
    """One server; its databases are reached without a password, on the loopback alone."""

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
        self.program("pg_ctl", "start", "-w", "-t", WAIT, "-D", str(self._data), "-l", log, "-o", options)

    def stop(self) -> None:
        """As an operator does who doesn't wait for clients."""
        self.program("pg_ctl", "stop", "-w", "-t", WAIT, "-m", "fast", "-D", str(self._data))

    def signal(self, number: signal.Signals) -> None:
        """To the server and its backends: SIGSTOP makes a database that hangs, SIGCONT ends that (Linux)."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        backends = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        for pid in (server, *map(int, backends)):
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid, number)

    def program(self, name: str, *arguments: str) -> str:
        """What one of PostgreSQL's programs says."""
        command = [str(PROGRAMS[-1] / name), *arguments]
        done = subprocess.run(
            command, user=self._user, cwd="/", check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A started cluster below `folder`; stopped, where that was not done already, at the end. Skips where there is none."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL's server programs are not in /usr/lib/postgresql")
    if os.geteuid() == 0:
        _hand_over(folder)
    cluster = Cluster(folder)
    cluster.start()
    try:
        yield cluster
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            cluster.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)


def _hand_over(folder: Path) -> None:
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
