"""Audit logs as they lie about: files, folders of rotated ones, compressed or not, read by several processes."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from audit_operator.replay.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audit_operator.replay.vocabulary import Vocabulary

STDIN = "-"
PIECE_BYTES = 32 << 20
"""Of a file, for one process at a time: small enough that progress shows, and that all end together."""

_GZIP = b"\x1f\x8b"
_NAMES = (".log", ".json", ".jsonl", ".ndjson", ".gz")


class LogUnreadableError(Exception):
    """A path cannot be read; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines of a file that begin in this range of bytes; of a compressed file, all of it."""

    file: str
    start: int
    end: int
    compressed: bool = False

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: bytes on disk, and events."""

    done: int
    size: int
    events: int


def log_pieces(paths: Sequence[str]) -> tuple[Piece, ...]:
    """All that is to be read.

    Raises:
        LogUnreadableError: a path is not there or cannot be read, or a folder has no log.
    """
    return tuple(piece for path in paths for file in _files(path) for piece in _pieces(file))


def log_files(paths: Sequence[str]) -> tuple[Piece, ...]:
    """All that is to be read, each file in one piece.

    Raises:
        LogUnreadableError: a path is not there or cannot be read, or a folder has no log.
    """
    return tuple(Piece(each.file, 0, sys.maxsize, each.compressed) for each in log_pieces(paths) if each.start == 0)


def read_lines(piece: Piece, faults: list[str]) -> Iterator[bytes]:
    """The lines of a whole file that are not empty; why they cannot be read to the end is added to `faults`."""
    try:
        with _opened(piece) as stream:
            yield from (line for line in stream if not line.isspace())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        faults.append(f"{piece.file}: cannot be unpacked: {error}")


def count_pieces(
    pieces: Sequence[Piece], vocabulary: Vocabulary, *, jobs: int, tell: Callable[[Progress], None]
) -> tuple[Cells, tuple[str, ...]]:
    """The counts of all pieces, and what could not be read to its end.

    Raises:
        LogUnreadableError: a file cannot be read any more.
    """
    whole, broken, done = Cells(vocabulary), list[str](), 0
    size = sum(each.size for each in pieces)
    events = 0
    try:
        for piece, (cells, fault) in _counted(pieces, vocabulary, jobs):
            whole.merge(cells)
            broken += [fault] if fault else []
            done += piece.size
            events += cells.events
            tell(Progress(done, size, events))
    except OSError as error:
        raise LogUnreadableError(f"cannot read {error.filename}: {error.strerror}") from error
    return whole, tuple(sorted(broken))


def count_piece(piece: Piece, vocabulary: Vocabulary) -> tuple[Cells, str]:
    """Its counts, and what is wrong with the file, if it cannot be read to its end."""
    cells = Cells(vocabulary)
    offset = piece.start
    with _opened(piece) as stream:
        if piece.start:
            # The line that reaches into this piece began in the one before it.
            stream.seek(piece.start - 1)
            offset = piece.start - 1 + len(stream.readline())
        try:
            for line in stream:
                if offset >= piece.end and not piece.compressed:
                    break
                if not line.isspace():
                    cells.add(line, piece.file, offset)
                offset += len(line)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            return cells, f"{piece.file}: cannot be unpacked from byte {offset} of its content: {error}"
    return cells, ""


def _counted(pieces: Sequence[Piece], vocabulary: Vocabulary, jobs: int) -> Iterator[tuple[Piece, tuple[Cells, str]]]:
    if jobs == 1 or len(pieces) == 1 or any(each.file == STDIN for each in pieces):
        for piece in pieces:
            yield piece, count_piece(piece, vocabulary)
        return
    # Not forked: a process with threads must not be, and the parent may have some.
    with ProcessPoolExecutor(min(jobs, len(pieces)), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(count_piece, piece, vocabulary): piece for piece in pieces}
        try:
            for future in as_completed(running):
                yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _files(path: str) -> Iterable[str]:
    folder = Path(path)
    if path == STDIN or not folder.is_dir():
        return [path]
    files = sorted(
        str(each)
        for each in folder.rglob("*")
        if each.is_file() and (each.suffix in _NAMES or any(f"{name}." in each.name for name in _NAMES))
    )
    if not files:
        raise LogUnreadableError(f"there is no log in {path}: no file whose name has one of {', '.join(_NAMES)}")
    return files


def _pieces(file: str) -> Iterator[Piece]:
    if file == STDIN:
        yield Piece(STDIN, 0, sys.maxsize)
        return
    try:
        with Path(file).open("rb") as stream:
            compressed = stream.read(len(_GZIP)) == _GZIP
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise LogUnreadableError(f"cannot read {file}: {error.strerror}") from error
    if compressed:
        yield Piece(file, 0, size, compressed=True)
        return
    for start in range(0, size, PIECE_BYTES):
        yield Piece(file, start, min(start + PIECE_BYTES, size))


@contextlib.contextmanager
def _opened(piece: Piece) -> Iterator[BinaryIO]:
    if piece.file == STDIN:
        yield sys.stdin.buffer
    elif piece.compressed:
        with gzip.open(piece.file, "rb") as unpacked:
            yield unpacked  # type: ignore[misc]  # a GzipFile reads as a BinaryIO does, and is none by name
    else:
        with Path(piece.file).open("rb", buffering=1 << 20) as stream:
            yield stream
