from pathlib import Path

import pytest

from audit_operator.integrity.seal import Scope
from audit_operator.sinks.seal_archive import FolderArchive, folder_of, list_name, report_name, seal_name
from audit_operator.sinks.store import Reason


async def test_what_is_kept_is_never_replaced(tmp_path):
    archive = FolderArchive(tmp_path / "of" / "a" / "chain")
    assert await archive.numbers() == ()
    assert await archive.read(seal_name(1)) is None
    assert await archive.add(seal_name(1), b"first") is True
    assert await archive.add(seal_name(1), b"second") is False
    assert await archive.read(seal_name(1)) == b"first"
    assert [each.name for each in archive.folder.iterdir()] == ["000000000001.json"]


async def test_seals_are_in_order_whatever_else_lies_beside(tmp_path):
    archive = FolderArchive(tmp_path)
    for name in (seal_name(10), seal_name(2), list_name("0" * 64), "README", "1.json", "000000000003.json.bak"):
        await archive.add(name, b"")
    assert await archive.numbers() == (2, 10)


async def test_a_folder_that_cannot_be_used_is_a_failure(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    archive = FolderArchive(tmp_path / "file" / "below")
    for answer in (await archive.numbers(), await archive.read(seal_name(1)), await archive.add(seal_name(1), b"")):
        assert answer.reason is Reason.ARCHIVE_UNUSABLE


@pytest.mark.parametrize("name", ["..", "../..", "a/b", "sink=x", "%2e%2e", "\0", "😀"])
def test_no_name_leads_out_of_its_folder_or_into_another(name):
    folders = {folder_of(Scope(sink="AuditSink/a/b", **{key: name})) for key in ("cluster", "namespace")}
    folders.add(folder_of(Scope(sink="AuditSink/a/b")))
    assert len(folders) == 3
    for each in folders:
        path = Path("/seals", each)
        assert path.resolve() == path
        assert len(path.parts) <= 6


async def test_of_what_is_too_large_for_a_seal_or_a_report_no_more_is_read(tmp_path):
    archive = FolderArchive(tmp_path)
    for name, limit in ((seal_name(1), 64 * 2**10), (report_name(1), 512 * 2**10)):
        (tmp_path / name).write_bytes(b"x" * 2**20)
        assert len(await archive.read(name)) == limit + 1
    (tmp_path / list_name("0" * 64)).write_bytes(b"x" * 2**20)
    assert len(await archive.read(list_name("0" * 64))) == 2**20
