"""The page as text: nothing of a stranger's becomes markup, and nothing is loaded. tests/browser looks at it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.policy_status import Verdict
from audit_operator.report.html import to_html
from audit_operator.report.markup import Markup, tag, text
from audit_operator.report.model import Group
from tests.report.sample import HOSTILE, sample


class Elements(HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.said = [], []
        self.feed(page)

    def handle_starttag(self, name, attributes):
        self.elements.append((name, tuple(key for key, _ in attributes)))

    def handle_data(self, data):
        self.said.append(data)


@pytest.mark.parametrize("words", HOSTILE)
def test_what_strangers_write_changes_no_element_and_no_attribute(words):
    page = to_html(sample(words))
    assert Counter(Elements(page).elements) == Counter(Elements(to_html(sample("x"))).elements)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", page)


@given(st.text())
def test_any_text_is_escaped_in_content_and_in_attributes(words):
    parsed = Elements(tag("p", words, title=words) + tag("p", Markup("<b>"), text(words)))
    assert parsed.elements == [("p", ("title",)), ("p", ()), ("b", ())]


def test_the_page_may_run_its_own_script_and_style_and_load_nothing():
    page = to_html(sample("https://example.test/x.js"))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    for name in ("style", "script"):
        [content] = re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    names = {key for _, keys in Elements(page).elements for key in keys}
    assert not names & {"src", "href", "srcset", "style", "action", "onclick", "onload"}
    assert "url(" not in page
    assert "@import" not in page


def test_namespaces_with_the_same_verdicts_share_a_row_and_all_their_names_are_there():
    report = sample()
    more = (*report.groups, Group(namespaces=("abc", "dev2"), verdicts=report.groups[2].verdicts))
    page = to_html(report.model_copy(update={"groups": more}))
    assert page.count('<th scope="row"') == len(report.groups)
    assert "abc and 4 more" in page
    for name in ("abc", "dev", "dev2", "shop", "stage"):
        assert f"<li>{name}</li>" in page


def test_each_cell_has_a_sign_beside_its_colour_and_leads_to_what_is_behind_it():
    page = re.sub(r'class="(\w) \w"', r"class=\1", to_html(sample()))
    cells = re.findall(r'<td class=(\w)(?: data-f="([\d ]+)")?[^>]*>(.)</td>', page)
    assert {(colour, sign) for colour, _, sign in cells} == {
        ("c", "✓"), ("p", "P"), ("g", "G"), ("l", "L"), ("n", "·")
    }  # fmt: skip
    assert all(bool(numbers) == (colour in "pgl") for colour, numbers, _ in cells)
    leak = next(numbers for colour, numbers, _ in cells if colour == "l")
    assert sample().findings[int(leak)].verdict is Verdict.LEAK


def test_each_cell_says_what_live_probes_have_shown_of_it():
    page = to_html(sample())
    assert '<td class="l v" data-f="0" data-p="1/1 2026-11-27">L</td>' in page
    assert '<td class="c x" data-p=x>✓</td>' in page
    assert "a live probe says otherwise" in page
    none = sample().model_copy(update={"policies": ()})
    assert "live probe says otherwise" not in to_html(none)
    assert "data-p" not in to_html(none).partition("<script>")[0]


def test_a_row_is_proved_only_where_each_of_its_namespaces_is():
    report = sample()
    [_, pci] = report.policies
    proof = pci.proof.model_copy(
        update={"contradicted_actions": (), "verified_actions": ("secret-read",), "oldest": "2026-11-26"}
    )
    others = [pci.model_copy(update={"namespace": name, "proof": proof}) for name in ("dev", "shop", "stage")]
    some = to_html(report.model_copy(update={"policies": (pci, *others[:2])}))
    assert '<td class=c data-p="2/3 2026-11-26">✓</td>' in some
    every = to_html(report.model_copy(update={"policies": (pci, *others)}))
    assert '<td class="c v" data-p="3/3 2026-11-26">✓</td>' in every
    outdated = to_html(report.model_copy(update={"policies": tuple(
        each.model_copy(update={"outdated": True}) for each in (pci, *others)
    )}))  # fmt: skip
    assert "data-p=" not in outdated.partition("<script>")[0]


def test_the_evidence_behind_each_control_can_be_unfolded():
    page = to_html(sample())
    assert "Evidence behind 2 controls, 1 of which failed" in page
    assert page.count('class="control"') == 2
    assert "(coverage/secret-read, since 2026-11-27)" in page
    assert "And 3 more." in page
    assert "Not judged: Everything." in page


def test_a_report_of_nothing_is_a_page():
    empty = {"groups": (), "findings": (), "policies": (), "actions": (), "remarks": (), "trend": None}
    assert "There is no policy." in to_html(sample().model_copy(update=empty))
