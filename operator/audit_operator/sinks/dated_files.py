"""Files of namespaces and days, as shippers write them (tools/otelcol/exporters/datedfiles): their names and lines.

They lie where shippers, and whoever else reaches the volume, can put anything. So nothing is opened but a plain file
with a day's name, in a folder with a name that shippers give, and no link is followed. A line counts only if it is the
document of a record of that day; what is none is counted, since it may have been one.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import stat
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import IO, TYPE_CHECKING, NamedTuple

from audit_operator.integrity.interval import to_nanoseconds
from audit_operator.shipping.exporters import AUDIT_ID, STAGE
from audit_operator.shipping.search_index import TEXT, TIME
from audit_operator.sinks.rfc3339 import nanoseconds

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

OF_NONE, OF_ANY = "_cluster", "_other"
"""Folders of records of no namespace, and of what may be of any: of namespaces that shippers had not seen, and lines
that are no events. No namespace has such a name."""
REFUSED = "_refused"
"""Folder of what its own file did not take."""
BEGIN = f'{{"{TIME}":"'.encode()
"""How the document of a record begins."""

_DATED = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.jsonl", re.ASCII)
_NAME = re.compile(rf"(?P<plain>{_DATED.pattern})(?P<rest>.*)", re.ASCII | re.DOTALL)
_PACKED = ".gz"
"""What an administrator's own compression adds to a name; shippers never do."""
_FORMER = re.compile(r"audit[-0-9T.:Z]*\.jsonl", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LONGEST = 32 * 2**20
"""Bytes of a line; shippers write 16 MiB at the most, and quotes in it take two."""
_MOST_TORN, _TORN_BYTES = 64, 2 * _LONGEST
_MOST_NAMED = 5
_STEP = 2**22
"""Bytes of packed content that are passed over before somebody asks again whether to stop."""
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\u[0-9a-f]{4}|\\[^u])*+')
"""The whole of a string of JSON, or as much of it as there is."""
_DECODER = json.JSONDecoder()
_DAY_NANOSECONDS = 86_400 * 10**9
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
"""A pipe of somebody's must not keep its reader waiting."""


UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file raises where it, or its disk, is not well."""


class DatedFile(NamedTuple):
    """A file of one folder and day; `packed` by gzip. Its name may go on in a way that nobody here can read."""

    folder: str
    name: str
    day: date
    packed: bool

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"


class Document(NamedTuple):
    """One line: where it begins and how long it is, unpacked; its record's time since 1970; event and attributes."""

    offset: int
    length: int
    nanoseconds: int
    text: str
    attributes: Mapping[str, str]


@dataclass(slots=True)
class Tally:
    """What was there, and is no record.

    Attributes:
        half: last lines without an end: they are being written, or a kill has left them.
        again: halves that a kill has left, and of whose record a later line is: it was written again.
        wrong: what may have been records, and cannot be read: lines, files and folders.
        first: of these, where they are and why.
    """

    half: int = 0
    again: int = 0
    wrong: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        """Count something that cannot be read; somebody may have left millions of it."""
        self.wrong += 1
        if len(self.first) < _MOST_NAMED:
            self.first.append(where)

    def named(self) -> tuple[str, ...]:
        """What cannot be read: the first of it, and how much more."""
        more = self.wrong - len(self.first)
        return (*self.first, *([f"{more:,} more lines or files"] if more else ()))


class Listing(NamedTuple):
    """The dated files of some folders, and what there is that cannot be read."""

    files: tuple[DatedFile, ...]
    wrong: tuple[str, ...]


def day_of(name: str) -> date | None:
    """The day, in UTC, of the records in a file of that name; None for any other file."""
    found = _DATED.fullmatch(name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def folders_of(namespaces: Iterable[str]) -> tuple[str, ...]:
    """Where records of these namespaces may lie, `""` being none: in their own folders, and in those of any."""
    own = {name or OF_NONE for name in namespaces if not name or _LABEL.fullmatch(name)}
    return tuple(sorted({*own, OF_ANY, REFUSED}))


def listing(root: Path, folders: Iterable[str] | None, since: datetime) -> Listing:
    """The dated files in these folders (None: in all that shippers may have made).

    Records of before `since` are nobody's matter: what was written last before then is not named as wrong.

    Raises:
        OSError: the folder itself cannot be read.
    """
    with os.scandir(root) as entries:
        there = {each.name: each for each in sorted(entries, key=lambda each: each.name)}
    wrong = [
        f"{name}: of a former release, which kept records of all namespaces in one file"
        for name, each in there.items()
        if _FORMER.fullmatch(name) and each.stat(follow_symlinks=False).st_mtime >= since.timestamp()
    ]
    wanted = set(there) if folders is None else set(folders)
    files: list[DatedFile] = []
    for name in (each for each in there if each in wanted and _is_of_shippers(each)):
        try:
            with _folder(root, name) as descriptor, os.scandir(descriptor) as entries:
                files += (found for each in entries if (found := _dated(name, each.name)) is not None)
        except OSError as error:
            wrong.append(f"{name}: {_why(error)}")
    return Listing(tuple(sorted(files)), tuple(wrong))


@contextmanager
def opened(root: Path, file: DatedFile) -> Iterator[IO[bytes]]:
    """The content of a file, unpacked.

    Raises:
        UNREADABLE: it cannot be read, or is no plain file; or, while it is read, it is packed, and damaged.
    """
    if day_of(file.name.removesuffix(_PACKED)) is None:
        message = "it is packed otherwise than by gzip, or no shipper's"
        raise OSError(message)
    with _folder(root, file.folder) as folder:
        descriptor = os.open(file.name, _FLAGS, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as plain:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            message = "it is no plain file"
            raise OSError(message)
        if not file.packed:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain) as unpacked:
            yield io.BufferedReader(unpacked)


def documents(content: IO[bytes], file: DatedFile, tally: Tally, given_up: threading.Event) -> Iterator[Document]:
    """The lines that are records, in their order; all others are counted. Holds one line, and what kills have torn.

    Ends early where `given_up` is set: what is packed may have no end, nor any line.
    """
    torn: list[tuple[int, bytes]] = []
    offset = 0
    while not given_up.is_set() and (line := _line(content)):
        begin, offset = offset, offset + len(line)
        if not line.endswith(b"\n"):
            if len(line) < _LONGEST:
                tally.half += 1
                break
            offset += _skipped(content, given_up)
            tally.add(f"{file}, from byte {begin}: a line of more than {_LONGEST} bytes")
            continue
        document = _document(line, file, begin)
        if document is not None:
            whole = [each for each in torn if not line.startswith(each[1])]
            tally.again += len(torn) - len(whole)
            torn = whole
            yield document
        elif len(torn) < _MOST_TORN and sum(len(each) for _, each in torn) < _TORN_BYTES and _says_whose(line[:-1]):
            torn.append((begin, line[:-1]))
        elif line != b"\n":
            tally.add(f"{file}, from byte {begin}: no record of that day")
    for begin, _ in torn:
        tally.add(f"{file}, from byte {begin}: half a record, or none of that day")


def go_on(content: IO[bytes], offset: int, given_up: threading.Event) -> None:
    """To a later place of packed content, which is to unpack all that lies before it; not so far where given up."""
    for place in (*range(content.tell() + _STEP, offset, _STEP), offset):
        if not given_up.is_set():
            content.seek(place)


def document_at(content: IO[bytes], file: DatedFile, offset: int, length: int) -> Document | None:
    """A line that was read before, read again; None where it is not there any more."""
    try:
        content.seek(offset)
        return _document(content.read(length), file, offset)
    except UNREADABLE:
        return None


def why_unreadable(file: DatedFile, error: Exception) -> str:
    """For whoever is told that a file cannot be read, or not to its end."""
    return f"{file}: {_why(error)}"


def _why(error: Exception) -> str:
    """In few words of the system's, or ours. A link shows as one level too many, or as no folder."""
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return error.strerror or str(error)
    return "it is packed, and damaged or cut off"


def _is_of_shippers(name: str) -> bool:
    return name in (OF_NONE, OF_ANY, REFUSED) or _LABEL.fullmatch(name) is not None


def _dated(folder: str, name: str) -> DatedFile | None:
    """What begins like one, and may so hold records of that day, is one: `opened` says that it cannot be read."""
    found = _NAME.fullmatch(name)
    day = day_of(found["plain"]) if found else None
    return DatedFile(folder, name, day, name.endswith(_PACKED)) if day is not None else None


@contextmanager
def _folder(root: Path, name: str) -> Iterator[int]:
    descriptor = os.open(root / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _line(content: IO[bytes]) -> bytes:
    """Without its end only if it is the last, or longer than any: a shipper may be writing it, and come to its end."""
    line = part = content.readline(_LONGEST)
    while part and not line.endswith(b"\n") and len(line) < _LONGEST:
        part = content.readline(_LONGEST - len(line))
        line += part
    return line


def _says_whose(torn: bytes) -> bool:
    """Whether half a document has its text as a whole, or of an event the audit ID and the stage.

    Less than that is how records of one moment, or day, begin as well.
    """
    begin, _, rest = torn.partition(b',"%b":"' % TEXT.encode())
    found = _IN_STRING.match(rest)
    if not begin.startswith(BEGIN) or found is None:
        return False
    if rest[found.end() : found.end() + 1] == b'"':
        return True
    try:
        return _has_identity(json.loads(b'"%b"' % found[0].decode("utf-8", "ignore").encode(), strict=False))
    except ValueError:
        return False


def _has_identity(event: str) -> bool:
    """Whether the beginning of an event has both, as fields of its own: others may be as somebody has chosen."""
    missing, place = {AUDIT_ID, STAGE}, 1
    try:
        while missing:
            name, place = _DECODER.raw_decode(event, place)
            _, place = _DECODER.raw_decode(event, place + 1)
            if event[place] != ",":
                return False
            missing.discard(name)
            place += 1
    except (ValueError, IndexError, RecursionError, TypeError):
        return False
    return True


def _skipped(content: IO[bytes], given_up: threading.Event) -> int:
    """Read to the end of a line; returns how many bytes those were."""
    skipped = 0
    while not given_up.is_set() and (part := content.readline(_LONGEST)):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _document(line: bytes, file: DatedFile, offset: int) -> Document | None:
    """None where it is none that a shipper writes into that file: of another day, or with a field twice."""
    if not line.startswith(BEGIN):
        return None
    try:
        pairs = json.loads(line, object_pairs_hook=list)
        fields = dict(pairs)
        if len(fields) != len(pairs) or not all(isinstance(each, str) for each in fields.values()):
            return None
        moment, text = nanoseconds(fields.pop(TIME)), fields.pop(TEXT)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    first = to_nanoseconds(datetime.combine(file.day, datetime.min.time(), UTC))
    within = first <= moment < first + _DAY_NANOSECONDS
    return Document(offset, len(line), moment, text, fields) if within else None
