"""Files of gzip members: parts can be read alone, any gzip program reads the whole file, and damage is detected."""

from __future__ import annotations

import fcntl
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from lib import gzip_parts
from lib.gzip_parts import DamagedFile

PARTS = ["id,name\n", "1,ünï\n2,\n", "x" * (3 * gzip_parts.CHUNK_BYTES), "last"]


def write_file(path: Path, parts: list[str] = PARTS) -> Path:
    with gzip_parts.open_writer(path) as write:
        for part in parts:
            write(part)
    return path


def test_parts_are_read_one_by_one_or_as_one_file(tmp_path: Path) -> None:
    path = write_file(tmp_path / "folder" / "file.gz")
    texts, offset = [], 0
    while offset < path.stat().st_size:
        text, offset = gzip_parts.read_part(path, offset)
        texts.append(text)
    assert texts == PARTS
    with gzip.open(path, "rt", encoding="utf-8") as file:
        assert file.read() == "".join(PARTS)
    assert [entry.name for entry in path.parent.iterdir()] == ["file.gz"]


def test_equal_parts_make_identical_files(tmp_path: Path) -> None:
    first, second = write_file(tmp_path / "a.gz"), write_file(tmp_path / "b.gz")
    assert first.read_bytes() == second.read_bytes()
    assert gzip_parts.checksum(first) == gzip_parts.checksum(second)


def test_only_its_owner_can_enter_the_folder(tmp_path: Path) -> None:
    assert write_file(tmp_path / "folder" / "file.gz").parent.stat().st_mode & 0o777 == 0o700


def test_a_failed_write_leaves_no_partial_file_and_keeps_the_previous_file(tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.gz", ["first"])

    def fail() -> None:
        with gzip_parts.open_writer(path) as write:
            write("second")
            raise ValueError("interrupted")

    with pytest.raises(ValueError, match="interrupted"):
        fail()
    assert gzip_parts.read_part(path, 0)[0] == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.gz"]


def test_only_one_process_at_a_time_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    with gzip_parts.open_writer(path) as write:
        with pytest.raises(BlockingIOError):
            write_file(path)
        write("mine")
    assert gzip_parts.read_part(path, 0)[0] == "mine"


@pytest.mark.parametrize("finish", [Path.rename, lambda partial, _path: partial.unlink()])
def test_a_file_that_another_process_has_just_finished_is_not_truncated(
    finish: Callable[[Path, Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "file.gz", fcntl.flock
    partial = path.with_name("file.gz.partial")
    partial.write_bytes(b"theirs")

    def lock_late(file: int, operation: int) -> None:  # the other process ends between our open and our lock
        finish(partial, path)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with pytest.raises(BlockingIOError):
        write_file(path)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] in ([b"theirs"], [])


def test_the_partial_file_of_a_killed_process_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file.gz.partial").write_bytes(b"half a part")
    assert gzip_parts.read_part(write_file(tmp_path / "file.gz", ["whole"]), 0)[0] == "whole"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:], lambda b: b[3:]])
def test_damage_is_detected(damage: object, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.gz", ["some text that is long enough to be changed"])
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]  # one of the functions above
    with pytest.raises(DamagedFile):
        gzip_parts.read_part(path, 0)
