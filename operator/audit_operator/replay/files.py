"""Audit logs as they lie about: files, folders of rotated ones, compressed or not, read by several processes."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from audit_operator.folders import files_under
from audit_operator.replay.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audit_operator.replay.vocabulary import Vocabulary

STDIN = "-"
PIECE_BYTES = 32 << 20
"""Of a file, for one process at a time: small enough that progress shows, and that all end together."""

MOST_LINE_BYTES = 32 << 20
"""Of a line: many times what an event can have. What is longer, as unpacked zeros may be, would need its memory."""

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_NAMES = (".log", ".json", ".jsonl", ".ndjson", ".gz")


class LogUnreadableError(Exception):
    """A path cannot be read; the message names it and says why."""


class RotatedAwayError(Exception):
    """A file is not there any more under any name in its folder, or not as long as it was."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines of a file that begin in this range of bytes; of a compressed file, all of it.

    `inode` tells the file from another that has its name meanwhile: logs are rotated while they are read. 0 of none.
    """

    file: str
    start: int
    end: int
    compressed: bool = False
    inode: int = 0

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
    return tuple(replace(each, end=sys.maxsize) for each in log_pieces(paths) if each.start == 0)


def read_lines(piece: Piece, faults: list[str]) -> Iterator[bytes]:
    """The lines of a whole file that are not empty; why they cannot be read to the end is added to `faults`.

    Raises:
        LogUnreadableError: the file cannot be read any more.
    """
    try:
        with _opened(piece) as stream:
            for line, _ in _lines(stream):
                if line is None:
                    faults.append(f"{piece.file}: a line has more than {MOST_LINE_BYTES} bytes, and was left out")
                elif not line.isspace():
                    yield line
    except RotatedAwayError as error:
        faults.append(str(error))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        faults.append(f"{piece.file}: cannot be unpacked: {error}")
    except OSError as error:
        raise LogUnreadableError(f"cannot read {error.filename or piece.file}: {error.strerror}") from error


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
    try:
        with _opened(piece) as stream:
            _count(stream, piece, cells)
    except RotatedAwayError as error:
        return cells, str(error)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return cells, f"{piece.file}: cannot be unpacked to its end: {error}"
    return cells, ""


def _count(stream: BinaryIO, piece: Piece, cells: Cells) -> None:
    offset = piece.start
    if piece.start:
        # The line that reaches into this piece began in the one before it.
        stream.seek(piece.start - 1)
        offset = piece.start - 1 + _pass_over(stream)
    for line, size in _lines(stream):
        if offset >= piece.end and not piece.compressed:
            return
        if line is None:
            cells.miss(f"longer than {MOST_LINE_BYTES} bytes", piece.file, offset)
        elif not line.isspace():
            cells.add(line, piece.file, offset)
        offset += size


def _lines(stream: BinaryIO) -> Iterator[tuple[bytes | None, int]]:
    """Lines with their sizes; None for one that is too long."""
    for line in iter(partial(stream.readline, MOST_LINE_BYTES + 1), b""):
        size = len(line)
        if size <= MOST_LINE_BYTES:
            yield line, size
        else:
            yield None, size + (0 if line.endswith(b"\n") else _pass_over(stream))


def _pass_over(stream: BinaryIO) -> int:
    """The size of the rest of a line, which is read in parts that fit into memory."""
    size = 0
    for part in iter(partial(stream.readline, _CHUNK), b""):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


def _counted(pieces: Sequence[Piece], vocabulary: Vocabulary, jobs: int) -> Iterator[tuple[Piece, tuple[Cells, str]]]:
    if jobs == 1 or len(pieces) <= 1 or any(each.file == STDIN for each in pieces):
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
    try:
        found = None if path == STDIN else files_under(path)
    except OSError as error:
        raise LogUnreadableError(f"cannot read {error.filename}: {error.strerror}") from error
    if found is None:
        return [path]
    files = [str(each) for each in found if each.suffix in _NAMES or any(f"{name}." in each.name for name in _NAMES)]
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
            found = os.fstat(stream.fileno())
    except OSError as error:
        raise LogUnreadableError(f"cannot read {file}: {error.strerror}") from error
    if compressed:
        yield Piece(file, 0, found.st_size, compressed=True, inode=found.st_ino)
        return
    for start in range(0, found.st_size, PIECE_BYTES):
        yield Piece(file, start, min(start + PIECE_BYTES, found.st_size), inode=found.st_ino)


@contextlib.contextmanager
def _opened(piece: Piece) -> Iterator[BinaryIO]:
    """The content of the very file that the piece is of.

    Raises:
        RotatedAwayError: it is not there any more.
    """
    if piece.file == STDIN:
        yield sys.stdin.buffer
        return
    with _found(piece) as stream:
        if piece.compressed:
            with gzip.open(stream, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile reads as a BinaryIO does, and is none by name
        else:
            yield stream


def _found(piece: Piece) -> BinaryIO:
    """A rotated file is looked for in its folder, by its inode."""
    path = Path(piece.file)
    # Whoever may read the file need not be allowed to list its folder.
    for each in chain([path], _listed(path.parent)):
        with contextlib.suppress(FileNotFoundError):
            if not piece.inode or each.stat().st_ino == piece.inode:
                stream = each.open("rb", buffering=_CHUNK)
                there = os.fstat(stream.fileno())
                if not piece.inode or (there.st_ino == piece.inode and _is_whole(there.st_size, piece)):
                    return stream
                stream.close()
    raise RotatedAwayError(f"{piece.file}: was rotated away while it was read")


def _listed(folder: Path) -> Iterator[Path]:
    yield from folder.iterdir()


def _is_whole(size: int, piece: Piece) -> bool:
    return size >= piece.end or piece.end == sys.maxsize
