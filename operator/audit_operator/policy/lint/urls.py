"""Prefixes of URLs that take in more, or less, than they seem to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Severity
from audit_operator.policy.evaluate import url_matches
from audit_operator.policy.lint.check import Check, Report, Subject
from audit_operator.policy.lint.served import is_about_resources, url_can_match

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_SEGMENTS = (
    "/.well-known",
    "/api",
    "/apis",
    "/configz",
    "/debug",
    "/flagz",
    "/healthz",
    "/livez",
    "/logs",
    "/metrics",
    "/openapi",
    "/openid",
    "/readyz",
    "/statusz",
    "/version",
)
"""The first segments of all paths that kube-apiserver 1.37.2 lists at ``/``, and of those that it serves unlisted."""


def wide_prefixes(subject: Subject) -> Iterator[Report]:
    """Prefixes that end within a segment and take in another path too: `/api*` and `/apis`."""
    for index, rule in subject.rules():
        if is_about_resources(rule):
            continue
        for position, url in enumerate(rule.non_resource_urls):
            prefix = url.rstrip("*")
            taken = [each for each in FIRST_SEGMENTS if url_matches(url, each)]
            if url == "*" or prefix not in FIRST_SEGMENTS or len(taken) < 2:  # noqa: PLR2004 - itself and another
                continue
            others = " and ".join(each for each in taken if each != prefix)
            yield Report(
                f'"{url}" takes in {others} and everything below, not only {prefix}',
                f'write "{prefix}" and "{prefix}/*" if only that is meant',
                index,
                ("nonResourceURLs", position),
            )


def prefixes_without_root(subject: Subject) -> Iterator[Report]:
    """Prefixes that end in `/*` and miss the path above: `/healthz/*` and `/healthz`."""
    for index, rule in subject.rules():
        if is_about_resources(rule):
            continue
        for position, url in enumerate(rule.non_resource_urls):
            root = url.removesuffix("/*")
            if not url.endswith("/*") or root not in FIRST_SEGMENTS or not url_can_match(root):
                continue
            if any(url_matches(each, root) for each in rule.non_resource_urls):
                continue
            yield Report(
                f'"{url}" does not take in {root} itself',
                f'add "{root}"',
                index,
                ("nonResourceURLs", position),
                Severity.INFO if rule.level is Level.NONE else Severity.WARNING,
            )


CHECKS = (
    Check("url-prefix-too-wide", Severity.INFO, "A URL prefix that takes in another path", wide_prefixes),
    Check(
        "url-prefix-without-root", Severity.WARNING, "A URL prefix that misses the path above", prefixes_without_root
    ),
)
