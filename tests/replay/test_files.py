from __future__ import annotations

import gzip
import io
import sys
from unittest import mock

import pytest

from audit_operator.api.audit import Level
from audit_operator.policy.model import Policy, Rule
from audit_operator.replay import files
from audit_operator.replay.files import LogUnreadableError, Piece, count_piece, count_pieces, log_pieces
from audit_operator.replay.vocabulary import vocabulary_of
from tests.folders import lock
from tests.replay.logs import event, line

VOCABULARY = vocabulary_of([Policy((Rule(Level.METADATA),))])


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.log"
    path.write_bytes(
        b"".join(line(event(uri=f"/api/v1/namespaces/web/pods/{'x' * number}")) for number in range(1, 60))
    )
    return path


def counted(*paths, jobs=1):
    told = []
    cells, broken = count_pieces(log_pieces([str(each) for each in paths]), VOCABULARY, jobs=jobs, tell=told.append)
    return cells, broken, told


@pytest.mark.parametrize("size", [1, 7, 250, 1000, 10**6])
def test_every_line_is_in_one_piece_wherever_pieces_are_cut(log, size):
    with mock.patch.object(files, "PIECE_BYTES", size):
        cells, broken, told = counted(log)
    assert (cells.events, broken, cells.unreadable) == (59, (), 0)
    assert told[-1].done == told[-1].size == log.stat().st_size


def test_several_processes_count_as_one_does(log):
    with mock.patch.object(files, "PIECE_BYTES", 3000):
        alone, _, _ = counted(log)
        together, _, _ = counted(log, jobs=2)
    assert together.counts == alone.counts


def test_a_folder_is_searched_for_rotated_and_compressed_logs(log):
    content = log.read_bytes()
    (log.parent / "audit-2026-11-27T07-00-00.000.log.gz").write_bytes(gzip.compress(content) + gzip.compress(content))
    (log.parent / "audit.log.1").write_bytes(content)
    (log.parent / "README.md").write_text("no log")
    cells, _, _ = counted(log.parent)
    assert cells.events == 4 * 59


def test_a_compressed_file_that_ends_too_early_is_named_and_what_was_read_of_it_is_counted(tmp_path, log):
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(log.read_bytes() * 300)[:-20])
    cells, broken, _ = counted(cut)
    assert len(broken) == 1
    assert str(cut) in broken[0]
    assert cells.events > 59


def test_a_last_line_without_an_end_is_counted_and_empty_lines_are_not(log):
    log.write_bytes(b"\n \n" + line(event()) + b"\r\n" + line(event()).rstrip())
    cells, _, _ = counted(log)
    assert (cells.events, cells.unreadable) == (2, 0)


def test_where_an_unreadable_line_begins_is_said(log):
    before = line(event())
    log.write_bytes(before + b"{oops\n" + before)
    with mock.patch.object(files, "PIECE_BYTES", 10):
        cells, _, _ = counted(log)
    assert [(each.file, each.offset) for each in cells.first_unreadable] == [(str(log), len(before))]


def test_standard_input_is_read_to_its_end():
    with mock.patch.object(sys, "stdin", mock.Mock(buffer=io.BytesIO(line(event()) * 3))):
        cells, _ = count_piece(Piece("-", 0, sys.maxsize), VOCABULARY)
    assert cells.events == 3


def test_what_is_not_there_or_holds_no_log_is_refused_with_its_name(tmp_path):
    with pytest.raises(LogUnreadableError, match="absent"):
        log_pieces([str(tmp_path / "absent")])
    with pytest.raises(LogUnreadableError, match="there is no log in"):
        log_pieces([str(tmp_path)])


def test_a_folder_that_cannot_be_listed_is_named_and_not_taken_for_one_without_logs(log, monkeypatch):
    (log.parent / "sub").mkdir()
    lock(log.parent / "sub", monkeypatch)
    with pytest.raises(LogUnreadableError, match=r"cannot read .*/sub: Permission denied"):
        log_pieces([str(log.parent)])


def test_a_file_is_read_whose_folder_cannot_be_listed(log, monkeypatch):
    lock(log.parent, monkeypatch)
    assert counted(log)[0].events == 59


def test_a_file_that_cannot_be_found_again_for_lack_of_rights_is_named(log, monkeypatch):
    [piece] = files.log_files([str(log)])
    log.rename(log.parent / "audit.log.1")
    lock(log.parent, monkeypatch)
    with pytest.raises(LogUnreadableError, match="Permission denied"):
        list(files.read_lines(piece, []))


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_empty_log_has_no_events(log, jobs):
    log.write_bytes(b"")
    assert log_pieces([str(log)]) == ()
    for path in (log, log.parent):
        cells, broken, _ = counted(path, jobs=jobs)
        assert (cells.events, broken) == (0, ())


@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_a_log_that_is_rotated_while_it_is_read_is_read_to_its_end(log, content):
    with mock.patch.object(files, "PIECE_BYTES", 3000):
        pieces = log_pieces([str(log)])
        log.rename(log.parent / "audit-2026.log")
        log.write_bytes(content)
        cells, broken = count_pieces(pieces, VOCABULARY, jobs=1, tell=lambda _: None)
    assert (cells.events, broken) == (59, ())


def test_a_log_that_is_gone_or_cut_while_it_is_read_is_named(log):
    pieces = log_pieces([str(log)])
    log.write_bytes(b"")
    assert "rotated away" in count_pieces(pieces, VOCABULARY, jobs=1, tell=lambda _: None)[1][0]
    log.unlink()
    assert str(log) in count_pieces(pieces, VOCABULARY, jobs=1, tell=lambda _: None)[1][0]
    faults = []
    assert list(files.read_lines(pieces[0], faults)) == []
    assert "rotated away" in faults[0]


@pytest.mark.parametrize("compressed", [True, False])
def test_a_line_that_is_too_long_is_counted_as_no_event_and_the_next_is_read(log, compressed):
    content = line(event()) + b"x" * 5000 + b"\n" + line(event())
    log.write_bytes(gzip.compress(content) if compressed else content)
    with mock.patch.object(files, "MOST_LINE_BYTES", 1000), mock.patch.object(files, "_CHUNK", 300):
        cells, broken, _ = counted(log)
        faults = []
        lines = list(files.read_lines(files.log_files([str(log)])[0], faults))
    assert (cells.events, cells.unreadable, broken, len(lines)) == (2, 1, (), 2)
    assert cells.first_unreadable[0].offset == len(line(event()))
    assert "more than 1000 bytes" in faults[0]
