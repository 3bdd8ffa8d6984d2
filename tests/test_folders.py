from __future__ import annotations

import os

import pytest

from audit_operator.folders import files_under
from tests.folders import lock


def test_files_of_all_folders_are_listed_in_order_and_links_to_folders_are_not_followed(tmp_path):
    for name in ("b.log", "a/z.log", "a/deep/x.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "link.log").symlink_to(tmp_path / "b.log")
    (tmp_path / "nowhere.log").symlink_to(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe.log")
    names = [str(each.relative_to(tmp_path)) for each in files_under(tmp_path) or ()]
    assert names == ["a/deep/x.log", "a/z.log", "b.log", "link.log"]


def test_what_is_no_folder_has_no_files(tmp_path):
    (tmp_path / "file").touch()
    assert files_under(tmp_path / "file") is None
    assert files_under(tmp_path / "absent") is None


@pytest.mark.parametrize("below", ["", "a", "a/deep"])
def test_a_folder_that_cannot_be_listed_is_an_error_that_names_it(tmp_path, monkeypatch, below):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    lock(tmp_path / below, monkeypatch)
    with pytest.raises(PermissionError) as caught:
        files_under(tmp_path)
    assert caught.value.filename == str(tmp_path / below)
