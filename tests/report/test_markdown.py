import re
from pathlib import Path

import pytest

from audit_operator.report.markdown import fenced, plain, to_markdown
from tests.report.sample import HOSTILE, sample

BLOCK = re.compile(r"^(`{3,})yaml\n.*?^\1$", re.MULTILINE | re.DOTALL)
GOLDEN = Path(__file__).with_name("golden.md")


def test_the_report_is_written_as_agreed():
    assert to_markdown(sample()) == GOLDEN.read_text()


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_write_stays_text(text):
    written = to_markdown(sample(text))
    outside = BLOCK.sub("", written)
    assert "<script" not in outside
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)\](\(|http)", outside)
    assert all(each.isprintable() for each in written.replace("\n", ""))
    assert len(outside.splitlines()) == len(BLOCK.sub("", to_markdown(sample("x"))).splitlines())


def test_a_block_of_code_ends_where_it_ends():
    assert next(iter(fenced("a\n````\nb\n"))) == "`````yaml"
    assert plain("https://x.test and www.x.test") == "https:\\//x.test and www\\.x.test"
