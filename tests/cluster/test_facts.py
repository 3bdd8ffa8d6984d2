from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.facts import FactStore
from audit_operator.cluster.resources import AUDIT_POLICY, NAMESPACE
from audit_operator.cluster.rest import Listing
from tests.examples import examples


def document(name, version, *, spec="s", status=None, **metadata):
    known = {"name": name, "namespace": "ns", "uid": "u", "generation": 1, "resourceVersion": str(version)}
    return {"metadata": known | metadata, "spec": spec, **({"status": status} if status else {})}


class Store:
    """A store of one kind, with a short way to say what happens to it."""

    def __init__(self):
        self.content_changes = 0
        self.statuses = []
        self.facts = FactStore(
            [AUDIT_POLICY],
            lambda _resource, raw, _known: raw["spec"],
            on_content=self._content,
            on_status=lambda fact: self.statuses.append(fact.ref.name),
        )

    def _content(self):
        self.content_changes += 1

    def seen(self, *args, **more):
        self.facts.observe(AUDIT_POLICY, document(*args, **more))

    def deleted(self, *args, **more):
        self.facts.forget(AUDIT_POLICY, document(*args, **more))

    def begin(self):
        return self.facts.begin_list()

    def listed(self, version, *documents, began=None):
        began = self.begin() if began is None else began
        items = tuple(self.facts.fact_of(AUDIT_POLICY, each) for each in documents)
        self.facts.replace(AUDIT_POLICY, began, Listing(items, str(version)))

    @property
    def names(self):
        return {fact.ref.name: fact.version for fact in self.facts.facts(AUDIT_POLICY)}


def test_nothing_may_be_acted_on_before_every_kind_was_listed():
    facts = FactStore([AUDIT_POLICY, NAMESPACE], lambda *_: None)
    facts.observe(AUDIT_POLICY, document("a", 1))
    facts.replace(AUDIT_POLICY, facts.begin_list(), Listing((), "5"))
    assert not facts.synced
    facts.replace(NAMESPACE, facts.begin_list(), Listing((), "5"))
    assert facts.synced


def test_a_list_heals_a_ghost():
    store = Store()
    store.seen("vanished-in-a-watch-gap", 5)
    store.seen("a", 6)
    store.listed(9, document("a", 6))
    assert store.names == {"a": 6}


def test_what_is_newer_than_the_list_survives_it():
    store = Store()
    began = store.begin()
    store.seen("created-meanwhile", 12)
    store.seen("changed-meanwhile", 11)
    store.listed(10, document("changed-meanwhile", 3), began=began)
    assert store.names == {"created-meanwhile": 12, "changed-meanwhile": 11}


def test_a_list_does_not_raise_what_was_deleted_while_it_was_read():
    store = Store()
    store.seen("a", 3)
    began = store.begin()
    store.deleted("a", 11)
    store.listed(10, document("a", 3), began=began)
    assert store.names == {}


def test_what_was_deleted_before_the_moment_of_the_list_and_created_again_is_there():
    store = Store()
    began = store.begin()
    store.deleted("a", 8)
    store.listed(10, document("a", 9), began=began)
    assert store.names == {"a": 9}


def test_late_news_are_dropped():
    store = Store()
    store.listed(10, document("a", 9))
    store.seen("a", 7)
    store.seen("gone-long-since", 8)
    store.deleted("a", 6)
    assert store.names == {"a": 9}


def test_a_late_event_does_not_revive_a_deleted_object():
    store = Store()
    store.listed(1)
    store.deleted("a", 8)
    store.seen("a", 5)
    assert store.names == {}


def test_a_list_from_a_restored_backup_wins_although_its_versions_are_lower():
    store = Store()
    store.listed(1000, document("a", 999), document("only-before-the-restore", 998))
    store.listed(500, document("a", 400))
    assert store.names == {"a": 400}


def test_a_change_of_status_alone_is_no_change_of_content():
    store = Store()
    store.listed(2, document("a", 1))
    before = store.content_changes
    store.seen("a", 3, status={"x": 1})
    assert store.content_changes == before
    assert store.statuses == ["a", "a"]


def test_an_equal_list_reports_nothing():
    store = Store()
    store.listed(2, document("a", 1))
    store.statuses.clear()
    before = store.content_changes
    store.listed(9, document("a", 1))
    assert store.content_changes == before
    assert store.statuses == []


def test_the_first_list_is_news_even_if_it_is_empty():
    store = Store()
    store.listed(1)
    assert store.content_changes == 1


def test_changes_appearances_and_disappearances_are_reported():
    store = Store()
    store.listed(1)
    for number, act in enumerate(
        [
            lambda: store.seen("a", 2),
            lambda: store.seen("a", 3, generation=2),
            lambda: store.seen("a", 4, uid="another"),
            lambda: store.seen("a", 5, uid="another", spec="t"),
            lambda: store.deleted("a", 6),
            lambda: store.listed(7, document("b", 7)),
            lambda: store.listed(8),
        ],
        start=2,
    ):
        act()
        assert store.content_changes == number


def test_the_decoder_is_given_what_it_made_before():
    seen = []
    facts = FactStore([AUDIT_POLICY], lambda _resource, raw, known: seen.append(known) or raw["spec"])
    facts.observe(AUDIT_POLICY, document("a", 1, spec="first"))
    facts.observe(AUDIT_POLICY, document("a", 2, spec="second"))
    assert seen == [None, "first"]
    assert facts.get(ObjectRef("AuditPolicy", "a", "ns")).content == "second"


# A world with a true state, a watch that delays and loses, and lists that take their time.

CHANGES = [("write", "a"), ("write", "b"), ("delete", "a"), ("delete", "b")]
FAITHFUL = [*CHANGES, ("deliver", ""), ("deliver", ""), ("deliver", ""), ("begin", ""), ("read", ""), ("finish", "")]
LOSSY = [*FAITHFUL, ("lose", ""), ("relist", "")]


def steps_of(alphabet):
    return st.lists(st.sampled_from(alphabet), min_size=10, max_size=40)


class World:
    def __init__(self):
        self.store = Store()
        self.version = 0
        self.objects = {}
        self.stream = []
        self.lists = []

    def write(self, name):
        self.version += 1
        self.objects[name] = self.version
        self.stream.append(("seen", name, self.version))

    def delete(self, name):
        if self.objects.pop(name, None) is not None:
            self.version += 1
            self.stream.append(("deleted", name, self.version))

    def deliver(self, _):
        if self.stream:
            kind, name, version = self.stream.pop(0)
            getattr(self.store, kind)(name, version)

    def lose(self, _):
        if self.stream:
            self.stream.pop(0)

    def relist(self, _):
        """The watch starts anew: survivors are replayed, deletions are not."""
        self.stream = [("seen", name, version) for name, version in self.objects.items()]

    def begin(self, _):
        self.lists.append([self.store.begin(), None])

    def read(self, _):
        for each in self.lists:
            each[1] = each[1] or (self.version, dict(self.objects))

    def finish(self, _):
        """Only one list is under way at any time in the operator; the oldest ends first."""
        if self.lists and self.lists[0][1]:
            began, (version, objects) = self.lists.pop(0)
            self.store.listed(version, *(document(*each) for each in objects.items()), began=began)


@given(steps_of(LOSSY))
def test_one_undisturbed_list_makes_the_store_true_whatever_happened_before(steps):
    world = World()
    for step, name in steps:
        getattr(world, step)(name)
    world.stream, world.lists = [], []
    world.begin("")
    world.read("")
    world.finish("")
    assert world.store.names == world.objects


@settings(max_examples=examples(500))
@given(steps_of(FAITHFUL))
def test_after_a_list_a_watch_that_loses_nothing_keeps_the_store_true(steps):
    world = World()
    world.store.listed(0)
    for step, name in steps:
        getattr(world, step)(name)
    world.read("")
    while world.lists:
        world.finish("")
    while world.stream:
        world.deliver("")
    assert world.store.names == world.objects
