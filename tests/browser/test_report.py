"""The report as people see and use it."""

from __future__ import annotations

import pytest

from audit_operator.cli import main
from audit_operator.report.html import to_html
from tests.browser.axe import axe_core
from tests.report.large import large
from tests.report.sample import HOSTILE, sample

AT = "document.activeElement"


@pytest.fixture
def written(tmp_path):
    def write(report):
        path = tmp_path / "report.html"
        path.write_text(to_html(report), encoding="utf-8")
        return path

    return write


@pytest.fixture
def opened(browser, written):
    pages = []

    def open_(report, **look):
        path = written(report)
        page = browser.open(path, **look)
        pages.append((page, path))
        return page

    yield open_
    for page, path in pages:
        assert page.requests == [path.as_uri()]
        assert page.complaints == []
        page.close()


@pytest.mark.parametrize("words", HOSTILE)
def test_what_strangers_write_runs_nothing_loads_nothing_and_is_shown(opened, words):
    page = opened(sample(words))
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.images.length") == 0
    page.evaluate("for (const each of document.querySelectorAll('#heat td')) each.click()")
    assert page.evaluate("document.querySelectorAll('#policies .policy').length") == 2


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_nothing_keeps_people_from_using_it_and_contrasts_suffice(opened, width, scheme):
    axe = axe_core()
    if axe is None:
        pytest.skip("there is no npm that reaches a registry, and axe-core is not in the cache")
    page = opened(sample(), width=width, scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate("document.querySelector('#heat td[data-f]').click()")
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run().then(found => ({passed: found.passes.map(each => each.id), "
        "violated: found.violations.map(each => [each.id, ...each.nodes.map(node => node.html)])}))"
    )
    assert found["violated"] == []
    assert {"color-contrast", "document-title", "html-has-lang"} <= set(found["passed"])


def test_dark_is_dark_and_a_phone_scrolls_one_way_only(opened):
    colours = [
        opened(sample(), scheme=each).evaluate("getComputedStyle(document.body).backgroundColor")
        for each in ("light", "dark")
    ]
    assert colours == ["rgb(243, 245, 248)", "rgb(13, 18, 25)"]
    for words in ("x", "w" * 900):
        phone = opened(sample(words), width=390, height=844)
        assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_the_map_is_used_by_keys_alone(opened):
    page = opened(sample())
    for _ in range(20):
        page.press("Tab")
        if page.evaluate(f"{AT}.matches('#heat td')"):
            break
    where = f"[{AT}.parentElement.rowIndex, {AT}.cellIndex]"
    shown = "document.getElementById('details').textContent"
    assert page.evaluate(where) == [1, 1]
    assert "secret-read in the cluster as a whole: Covered" in page.evaluate(shown)
    page.press("ArrowDown")
    assert "secret-read in payments: Leak" in page.evaluate(shown)
    assert "Proved by live probes, the oldest of 2026-11-27." in page.evaluate(shown)
    assert "pods/exec" in page.evaluate(shown)
    page.press("ArrowRight")
    assert "A live probe contradicts this" in page.evaluate(shown)
    for key, expected in (("End", [2, 4]), ("ArrowRight", [2, 4]), ("Home", [2, 1]), ("ArrowUp", [1, 1]),
                          ("ArrowUp", [1, 1]), ("ArrowRight", [1, 2])):  # fmt: skip
        page.press(key)
        assert page.evaluate(where) == expected
    page.press("Tab")
    assert not page.evaluate(f"{AT}.matches('#heat td')")


def test_the_evidence_behind_a_control_is_unfolded_by_keys_alone(opened):
    page = opened(sample())
    opened_ = "document.querySelectorAll('.evidence[open], .control[open]').length"
    for name in ("evidence", "control"):
        for _ in range(40):
            page.press("Tab")
            if page.evaluate(f"{AT}.matches('.{name} > summary')"):
                break
        page.press("Enter")
    assert page.evaluate(opened_) == 2
    line = "document.querySelector('.control li')"
    assert "a live probe contradicts it" in page.evaluate(f"{line}.textContent")
    assert page.evaluate(f"{line}.getBoundingClientRect().height") > 10


def test_the_evidence_fits_a_phone(opened):
    phone = opened(sample("w" * 900), width=390, height=844)
    phone.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.evaluate("document.querySelector('.control li').getBoundingClientRect().right") <= 390


def test_a_thousand_namespaces_are_walked_through_and_filtered(opened):
    page = opened(large(1000))
    assert page.evaluate("document.querySelectorAll('#heat tbody tr').length") == 1000
    page.evaluate("document.querySelector('#heat td').focus()")
    page.press("ArrowDown")
    assert page.evaluate(f"{AT}.parentElement.cells[0].textContent") == "team-0001"
    page.evaluate("search.value = 'team-099'; search.dispatchEvent(new Event('input'))")
    visible = "[...document.querySelectorAll('#heat tbody tr')].filter(each => each.offsetHeight).length"
    assert page.evaluate(visible) == 10
    page.evaluate("search.value = ''; search.dispatchEvent(new Event('input'))")
    assert page.evaluate(visible) == 1000


def test_rows_that_are_not_in_sight_are_not_laid_out(opened):
    # A table of 51,000 cells takes a browser seconds, at each step from cell to cell.
    page = opened(large(1000))
    cells = "[...document.querySelectorAll('#heat tbody td')]"
    skipped = f"{cells}.filter(each => !each.checkVisibility({{contentVisibilityAuto: true}}))"
    assert page.evaluate(f"{skipped}.length") > 40_000


def test_paper_has_what_is_folded_on_the_screen(opened):
    page = opened(sample())
    page.call("Emulation.setEmulatedMedia", media="print")
    body = "document.querySelector('.finding .body')"
    assert page.evaluate(f"{body}.getBoundingClientRect().height") > 20
    assert page.evaluate("document.querySelector('.control li').getBoundingClientRect().height") > 5
    assert page.evaluate("getComputedStyle(document.getElementById('filter')).display") == "none"
    assert page.print().startswith(b"%PDF-")


@pytest.mark.usefixtures("browser")
def test_the_command_prints_a_pdf(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "apiVersion: audit-operator.dev/v1alpha1\nkind: ClusterAuditPolicy\nmetadata: {name: base}\n"
        "spec: {preset: Baseline}\n"
    )
    target = tmp_path / "report.pdf"
    assert main(["report", "-f", str(tmp_path / "p.yaml"), "-o", "pdf", "--output", str(target)]) == 0
    assert target.read_bytes().startswith(b"%PDF-")
