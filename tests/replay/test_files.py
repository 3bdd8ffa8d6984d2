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


def test_a_file_that_vanishes_is_named(log):
    pieces = log_pieces([str(log)])
    log.unlink()
    with pytest.raises(LogUnreadableError, match=r"audit\.log"):
        count_pieces(pieces, VOCABULARY, jobs=1, tell=lambda _: None)
