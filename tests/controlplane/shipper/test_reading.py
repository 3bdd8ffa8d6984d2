"""How far a collector is behind what it reads, from what the kernel says of its open files."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.controlplane.shipper.reading import OpenFile, Reading, open_files

LOG, ROTATED = (1, 10), (1, 11)


def opened(position, size, identity=LOG):
    return OpenFile(identity, position, size)


def test_what_a_process_has_open_for_reading_is_seen_with_how_far_it_has_read(tmp_path):
    log, own, pipe = tmp_path / "audit.log", tmp_path / "state", tmp_path / "pipe"
    own.mkdir()
    log.write_bytes(b"x" * 100)
    (own / "queue").write_bytes(b"y" * 100)
    os.mkfifo(pipe)
    with (
        log.open("rb", buffering=0) as reader,
        (own / "queue").open("rb"),
        (tmp_path / "out").open("wb"),
        (tmp_path / "both").open("w+b"),
    ):
        reader.read(40)
        known = {each.identity: each for each in open_files(os.getpid(), own)}
        status = log.stat()
        assert known[status.st_dev, status.st_ino] == OpenFile((status.st_dev, status.st_ino), 40, 100)
        inodes = {inode for _, inode in known}
        assert not inodes & {each.stat().st_ino for each in (own / "queue", tmp_path / "out", tmp_path / "both")}


def test_of_a_process_that_is_gone_nothing_is_seen(tmp_path):
    assert list(open_files(2**22, tmp_path)) == []
    assert Reading().unread([]) is None


def test_a_reader_that_keeps_up_is_never_behind():
    reading = Reading()
    for now in range(100):
        files = [opened(now * 1000, now * 1000 + 500)]
        assert reading.see(float(now), files) <= 1.0
    assert reading.unread(files) == 500


def test_what_is_not_read_has_waited_since_it_was_first_seen():
    reading = Reading()
    reading.see(0.0, [opened(100, 100)])
    assert reading.see(5.0, [opened(100, 200)]) == 0.0
    assert reading.see(65.0, [opened(150, 900)]) == 60.0
    assert reading.see(70.0, [opened(200, 900)]) == 5.0
    assert reading.see(75.0, [opened(900, 900)]) == 0.0


def test_a_file_that_was_rotated_is_waited_for_until_it_is_read():
    reading = Reading()
    reading.see(0.0, [opened(10, 500)])
    both = [opened(20, 500, LOG), opened(80, 80, ROTATED)]
    assert reading.see(60.0, both) == 60.0
    assert reading.unread(both) == 480
    # Closed and gone: whatever became of it, nothing of it can be said to wait.
    assert reading.see(120.0, [opened(80, 80, ROTATED)]) == 0.0


def test_the_moment_in_which_a_collector_opens_a_file_anew_is_no_lag():
    reading = Reading()
    reading.see(0.0, [opened(500, 500)])
    assert reading.see(60.0, [opened(0, 500)]) == 0.0


def test_a_file_that_was_cut_is_read_from_its_beginning():
    reading = Reading()
    reading.see(0.0, [opened(500, 500)])
    assert reading.see(1.0, [opened(0, 100)]) == 0.0
    reading.see(2.0, [opened(0, 900)])
    assert reading.see(62.0, [opened(0, 900)]) == 60.0


def test_what_was_cut_off_a_file_before_it_was_read_waits_no_more():
    reading = Reading()
    reading.see(0.0, [opened(5, 10)])
    assert reading.see(60.0, [opened(50, 100)]) == 0.0
    assert reading.see(120.0, [opened(50, 100)]) == 60.0
    assert reading.see(180.0, [opened(10, 10)]) == 0.0
    assert reading.see(600.0, [opened(20, 20)]) == 0.0
    assert reading.see(3600.0, [opened(20, 90)]) == 0.0
    assert reading.see(3660.0, [opened(20, 90)]) == 60.0


def test_what_is_remembered_has_bounds():
    reading = Reading()
    for now in range(5000):
        waited = reading.see(float(now), [opened(0, now + 1)])
    assert waited == 4999.0
    assert len(reading._seen) <= 1001


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 9)), max_size=60))
def test_never_more_is_claimed_than_is_true(steps):
    reading, size, position, written = Reading(), 0, 0, []
    for now, (grown, read, kind) in enumerate(steps):
        if kind == 0 and grown < size:  # cut, and written to since, but not as much as there was
            size, position, written = 0, 0, []
        if grown:
            size += grown
            written.append((size, now))
        position = min(size, position + read)
        oldest = next((at for end, at in written if end > position), now)
        assert reading.see(float(now), [opened(position, size)]) <= now - oldest
