"""The text of a bucket's lifecycle rules: of what others wrote, not a byte may change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention.folders import Place
from audit_operator.sinks.retention.s3_rules import Expiry, Rules, UnreadableRulesError, rule_id

HOME = "prod/sink=central/"
MONTH, WEEK = Place("main", "max30d"), Place("main", "max7d")
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
)
END = "\n</LifecycleConfiguration>\n"
THEIRS = (
    "\n  <!-- of the platform -->\n  <Rule><ID>theirs</ID><Filter><And><Prefix>x/</Prefix><Tag><Key>k</Key>"
    "<Value>&lt;v</Value></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter><Status>Enabled</Status>"
    "<Expiration ><Days>7</Days></Expiration></Rule >"
)
FORMER = (
    "\n\t<Rule><Prefix>old/</Prefix><Status>Disabled</Status><Transition><Days>3</Days><StorageClass>GLACIER"
    "</StorageClass></Transition></Rule>"
)
OF_ANOTHER = (
    "<Rule><ID>audit-operator/other/max30d</ID><Filter><Prefix>prod/sink=central/cluster=other/class=max30d/</Prefix></Filter>"
    "<Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>"
)
BY_HAND = (
    "<Rule><ID>named-by-somebody</ID><Filter><Prefix>prod/sink=central/cluster=main/class=max30d/</Prefix></Filter>"
    "<Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule>"
)
FOREIGN = [THEIRS, FORMER, OF_ANOTHER, BY_HAND]


def parsed(text, known=(MONTH, WEEK)):
    return Rules.parse(text, HOME, ["main"], known)


def expiry(place=MONTH, hours=720):
    return Expiry.of(HOME, place, hours)


EXPIRIES = st.dictionaries(st.sampled_from([MONTH, WEEK]), st.integers(1, 20_000)).map(
    lambda wanted: {place: Expiry.of(HOME, place, hours) for place, hours in wanted.items()}
)


@given(st.lists(st.sampled_from(FOREIGN), unique=True), EXPIRIES, EXPIRIES)
def test_rules_of_others_stay_as_they_are_and_ours_become_what_is_ordered(foreign, earlier, wanted):
    document = HEAD + "".join(foreign) + END
    with_ours = parsed(document).saying(earlier.values()) or document
    after = parsed(with_ours).saying(wanted.values())
    if not foreign and not wanted:
        assert not after
        return
    rules = parsed(after)
    assert len(rules.foreign) == len(foreign)
    assert rules.ours == wanted
    assert all(each in after for each in foreign)
    assert parsed(after).saying(wanted.values()) == after
    assert rules.of_others == (document if foreign else "")


def test_a_bucket_without_rules_gets_a_document_and_loses_it_again():
    made = parsed("").saying([expiry()])
    assert parsed(made).ours == {MONTH: expiry()}
    assert parsed(made).saying([]) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<Days>30</Days>", "<Days>3</Days>"),
        ("Enabled", "Disabled"),
        ("<Prefix>prod/sink=central/cluster=main/class=max30d/</Prefix>", "<Prefix>prod/</Prefix>"),
        ("</Filter>", "<Tag><Key>a</Key><Value>b</Value></Tag></Filter>"),
        ("<NoncurrentDays>1<", "<NoncurrentDays>100<"),
        ("</NoncurrentDays>", "</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions>"),
        ("</Expiration>", "</Expiration><AbortIncompleteMultipartUpload/>"),
        ("<Rule><ID>audit-operator/main/max30d", "<Rule><ID>audit-operator/mine"),
    ],
)
def test_a_rule_of_ours_that_somebody_has_changed_is_recognised(old, new):
    made = parsed("").saying([expiry()])
    assert old in made
    changed = parsed(made.replace(old, new))
    assert MONTH in changed.ours
    assert changed.ours != {MONTH: expiry()}
    assert changed.saying([expiry()]) == made


def test_two_rules_for_one_folder_are_none():
    twice = parsed("").saying([expiry(), expiry(hours=24)])
    assert parsed(twice).ours == {MONTH: None}
    assert parsed(parsed(twice).saying([expiry()])).ours == {MONTH: expiry()}


def test_days_are_never_fewer_than_what_was_asked():
    assert [expiry(hours=each).days for each in (1, 24, 25, 36, 48)] == [1, 1, 2, 2, 2]


def test_what_somebody_deletes_stays_as_a_version_for_as_long_as_it_is_to_be_kept():
    assert [Expiry.of(HOME, MONTH, 720, keep).older for keep in (0, 1, 24, 25, 720)] == [1, 1, 1, 2, 30]
    longer = Expiry.of(HOME, MONTH, 720, 720)
    assert parsed(parsed("").saying([longer])).ours == {MONTH: longer}


def test_other_sinks_in_the_same_bucket_have_other_rules_and_no_name_is_too_long():
    elsewhere = Expiry.of("prod/sink=other/", MONTH, 24)
    assert rule_id(HOME, MONTH).startswith("audit-operator/main/max30d/")
    assert parsed(parsed("").saying([elsewhere])).ours == {}
    assert len(rule_id(HOME, Place("a" * 253, "max30d"))) < 255


@pytest.mark.parametrize(
    "text",
    [
        "no xml",
        "<LifecycleConfiguration><Rule></LifecycleConfiguration>",
        f"{HEAD}<!-- <Rule><ID>a</ID></Rule> -->{END}",
        "<s:LifecycleConfiguration xmlns:s='x'><s:Rule><s:ID>a</s:ID></s:Rule></s:LifecycleConfiguration>",
    ],
)
def test_where_rules_cannot_be_told_apart_nothing_is_written(text):
    with pytest.raises(UnreadableRulesError):
        parsed(text)
