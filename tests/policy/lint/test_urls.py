"""Prefixes of URLs that take in more, or less, than they seem to."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, found


@pytest.mark.parametrize(
    ("urls", "count"),
    [
        ("[/api*]", 1),
        ("[/api, /api/*]", 0),
        ("[/apis*]", 0),
        ("[/healthz*, /livez*]", 0),
        ('["*"]', 0),
        ("[/swagger*]", 0),
    ],
)
def test_a_prefix_that_takes_in_another_path_is_reported(urls: str, count: int) -> None:
    assert found(f"- {{level: None, nonResourceURLs: {urls}}}\n{CATCH_ALL}", "url-prefix-too-wide") == [0] * count


@pytest.mark.parametrize(
    ("urls", "count"),
    [
        ("[/healthz/*]", 1),
        ("[/healthz, /healthz/*]", 0),
        ("[/healthz*, /healthz/*]", 0),
        ("[/api/*]", 1),
        ("[/apis/apps/*]", 0),
    ],
)
def test_a_prefix_that_misses_the_path_above_is_reported(urls: str, count: int) -> None:
    assert found(f"- {{level: None, nonResourceURLs: {urls}}}\n{CATCH_ALL}", "url-prefix-without-root") == [0] * count
