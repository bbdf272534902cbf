"""Files of gzip members: each part is read by itself, all of them by any program, and damage is told."""

from __future__ import annotations

import fcntl
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from lib import gzip_parts
from lib.gzip_parts import Damaged

PARTS = ["id,name\n", "1,ünï\n2,\n", "x" * (3 * gzip_parts.CHUNK), "last"]


def written(path: Path, parts: list[str] = PARTS) -> Path:
    with gzip_parts.writing(path) as write:
        for part in parts:
            write(part)
    return path


def test_parts_are_read_one_by_one_and_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "folder" / "file.gz")
    found, offset = [], 0
    while offset < path.stat().st_size:
        text, offset = gzip_parts.part(path, offset)
        found.append(text)
    assert found == PARTS
    with gzip.open(path, "rt", encoding="utf-8") as file:
        assert file.read() == "".join(PARTS)
    assert [one.name for one in path.parent.iterdir()] == ["file.gz"]


def test_the_same_parts_make_the_same_file(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.gz"), written(tmp_path / "b.gz")
    assert first.read_bytes() == second.read_bytes()
    assert gzip_parts.checksum(first) == gzip_parts.checksum(second)


def test_the_folder_is_ours_alone(tmp_path: Path) -> None:
    assert written(tmp_path / "folder" / "file.gz").parent.stat().st_mode & 0o777 == 0o700


def test_what_fails_on_the_way_leaves_nothing_and_keeps_the_file_before(tmp_path: Path) -> None:
    path = written(tmp_path / "file.gz", ["first"])

    def fail() -> None:
        with gzip_parts.writing(path) as write:
            write("second")
            raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        fail()
    assert gzip_parts.part(path, 0)[0] == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["file.gz"]


def test_one_process_writes_a_file_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    with gzip_parts.writing(path) as write:
        with pytest.raises(BlockingIOError):
            written(path)
        write("mine")
    assert gzip_parts.part(path, 0)[0] == "mine"


@pytest.mark.parametrize("ends", [Path.rename, lambda partial, _path: partial.unlink()])
def test_a_file_that_another_process_finished_a_moment_ago_is_not_emptied(
    ends: Callable[[Path, Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "file.gz", fcntl.flock
    partial = path.with_name("file.gz.partial")
    partial.write_bytes(b"theirs")

    def late(file: int, how: int) -> None:  # between the opening and the lock they end
        ends(partial, path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BlockingIOError):
        written(path)
    assert [one.read_bytes() for one in tmp_path.iterdir()] in ([b"theirs"], [])


def test_what_a_killed_process_left_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "file.gz.partial").write_bytes(b"half a part")
    assert gzip_parts.part(written(tmp_path / "file.gz", ["whole"]), 0)[0] == "whole"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:], lambda b: b[3:]])
def test_damage_is_told(damage: object, tmp_path: Path) -> None:
    path = written(tmp_path / "file.gz", ["some text that is long enough to be changed"])
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]  # one of the functions above
    with pytest.raises(Damaged):
        gzip_parts.part(path, 0)
