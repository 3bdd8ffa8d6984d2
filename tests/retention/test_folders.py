from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention import folders
from audit_operator.retention.change import GRACE, Announcement
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.folders import Folder, Former, Found, Layout, Limit, Place, held, limits, remembered
from audit_operator.retention.orders import Remembered, Step, Told, steps
from audit_operator.retention.protection import Protection

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH, TWO = Demand(maximum=30 * 24), Demand(maximum=60 * 24)
HELD = Demand(maximum=30 * 24, legal_hold=True)


def place(demand, cluster="main"):
    return Place(cluster, demand.name)


@dataclass
class World:
    """A bucket, who is told what, and what is remembered; objects are (namespace, folder, day of its upload)."""

    today: int = 0
    demanded: dict = field(default_factory=dict)
    existing: set = field(default_factory=set)
    known: dict = field(default_factory=dict)
    before: dict = field(default_factory=dict)
    objects: list = field(default_factory=list)
    limits: dict = field(default_factory=dict)

    @property
    def now(self):
        return NOW + self.today * DAY

    def round(self):
        by_demand = {}
        for name, demand in sorted(self.demanded.items()):
            by_demand.setdefault(demand, []).append(name)
        classes = [RetentionClass(demand, tuple(names)) for demand, names in by_demand.items()]
        names = frozenset(each.name for each in classes)
        planned = steps(classes, self.known, names, self.now)
        oldest = {}
        for _, where, day in self.objects:
            if where is not None:
                oldest[where] = min(oldest.get(where, self.now), NOW + day * DAY)
        kept = remembered(self.before, planned, Found(oldest, frozenset({"main"}), self.now))
        self.limits = limits(kept, planned, self.existing)
        told = {name: step.told for step in planned for name in step.namespaces}
        self.before = kept
        self.known = {
            name: Remembered(told[name], demand.minimum, demand.legal_hold) for name, demand in self.demanded.items()
        }

    def where(self, name):
        """The folder that shippers are told of."""
        return Place.parse(Layout.of(self.before).folder("main", name))

    def write(self, name, where):
        self.objects.append((name, where, self.today))

    def sweep(self):
        """What the store deletes by the rules that it has."""
        gone = [each for each in self.objects if self.is_due(each)]
        self.objects = [each for each in self.objects if not self.is_due(each)]
        return gone

    def is_due(self, stored):
        _, where, day = stored
        limit = self.limits.get(where)
        return limit is not None and limit.delete_after is not None and (self.today - day) * 24 >= limit.delete_after

    def live(self, days=1):
        """Days on which everybody writes to where it belongs."""
        for _ in range(days):
            self.today += 1
            self.round()
            for name in sorted(self.existing):
                self.write(name, self.where(name))
            self.sweep()

    def ages(self, name):
        return [self.today - day for owner, _, day in self.objects if owner == name]


def world(**demanded):
    return World(demanded=dict(demanded), existing=set(demanded))


def test_each_class_has_its_folder_and_is_deleted_from_as_it_asks():
    made = world(web=MONTH, shop=TWO)
    made.live(80)
    assert made.where("web") == place(MONTH)
    assert max(made.ages("web")) == 29
    assert max(made.ages("shop")) == 59


def test_a_namespace_that_comes_later_holds_nobody_up():
    made = world(web=MONTH)
    made.live(40)
    made.demanded["new"] = MONTH
    made.existing.add("new")
    made.live(1)
    assert made.limits[place(MONTH)] == Limit(30 * 24)


def test_a_folder_is_kept_for_whoever_has_left_it_until_nothing_of_theirs_is_there():
    made = world(web=MONTH, shop=MONTH)
    made.live(40)
    made.demanded["shop"] = TWO
    made.live(1)
    assert made.limits[place(MONTH)] == Limit(60 * 24)
    made.live(60)
    assert made.limits[place(MONTH)] == Limit(60 * 24), "shippers may come late"
    made.live(40)
    assert made.limits[place(MONTH)] == Limit(30 * 24)


def test_a_hold_reaches_the_folders_of_earlier_times_at_once():
    made = world(web=MONTH, shop=MONTH)
    made.live(40)
    made.demanded["shop"] = HELD
    made.live(100)
    assert made.limits[place(MONTH)] == Limit(None, 1)
    assert len(made.ages("shop")) == len(made.ages("web"))
    made.demanded["shop"] = MONTH
    made.live(GRACE.days)
    assert made.limits[place(MONTH)] == Limit(None, 1)
    made.live(40)
    assert made.limits[place(MONTH)] == Limit(30 * 24)
    assert max(made.ages("shop")) == 29


def test_where_a_policy_is_gone_nothing_is_deleted_and_where_the_namespace_is_gone_it_stays_as_it_was():
    made = world(web=MONTH, shop=MONTH)
    made.live(40)
    del made.demanded["shop"]
    made.live(10)
    assert made.limits[place(MONTH)] == Limit(None, 1)
    made.existing.discard("shop")
    made.live(10)
    assert made.limits[place(MONTH)] == Limit(30 * 24, keep=30 * 24), "nobody knows how short its minimum was"


def test_without_memory_nothing_is_deleted_where_anything_lies():
    made = world(web=MONTH)
    made.live(40)
    made.before, made.known = {}, {}
    made.live(100)
    assert made.limits[place(MONTH)] == Limit(None)
    made.objects = [each for each in made.objects if made.today - each[2] < 30]
    made.live(1)
    assert made.limits[place(MONTH)] == Limit(30 * 24), "somebody else has removed it"


def test_a_hold_that_was_seen_while_the_store_was_away_outlives_the_namespace():
    known = {place(MONTH): Folder({"web": 720, "shop": 720}, {"old": Former(NOW, 720)})}
    seen = held(known, {"web": Protection.by(HELD), "old": Protection(endless=True)})[place(MONTH)]
    assert (seen.members, seen.formerly) == ({"web": None, "shop": 720}, {"old": Former(NOW, None)})
    gone = remembered({place(MONTH): seen}, (), Found({place(MONTH): NOW}, frozenset({"main"}), NOW))
    assert limits(gone, (), frozenset()) == {place(MONTH): Limit(None, 2)}


def test_a_minimum_that_was_seen_while_the_store_was_away_outlives_the_namespace_too():
    known = {place(MONTH): Folder({"web": 720, "shop": None}, {"old": Former(NOW, 720)})}
    seen = {"web": Protection(8760), "shop": Protection(1), "old": Protection(24)}
    assert held(known, seen) == {place(MONTH): Folder({"web": 8760, "shop": None}, {"old": Former(NOW, 720)})}
    no_maximum = Protection.by(Demand(minimum=24))
    assert held(known, {"web": no_maximum})[place(MONTH)].members["web"] is None


def test_folders_of_other_clusters_are_left_alone():
    oldest = {Place("other", MONTH.name): NOW}
    found = Found(oldest, frozenset({"main"}), NOW)
    assert not remembered({}, (), found)


def test_folders_of_a_cluster_that_ships_no_more_are_kept_for_whoever_has_records_there():
    old = place(MONTH, "old")
    step = Step(RetentionClass(MONTH, ("web",)), ("web",), 720, Told(720))
    known = {old: Folder({"web": 720}), place(MONTH): Folder({"web": 720})}
    later = NOW + 40 * DAY
    left = remembered(known, [step], Found({old: NOW}, frozenset({"main"}), later, frozenset({"old"})))
    assert left[old] == Folder(formerly={"web": Former(later, 720)})
    held_later = Step(RetentionClass(HELD, ("web",)), ("web",), None, Told())
    assert limits(left, [held_later], {"web"})[old] == Limit(None, 1)
    gone = remembered(left, [step], Found({}, frozenset({"main"}), later + 31 * DAY, frozenset({"old"})))
    assert list(gone) == [place(MONTH)]
    not_looked_at = remembered(left, [step], Found({}, frozenset({"main"}), later + 31 * DAY))
    assert not_looked_at[old] == left[old]


def test_what_cannot_all_be_remembered_is_not_deleted_from_nor_written_to(monkeypatch):
    step = Step(RetentionClass(MONTH, ("web",)), ("web",), 720, Told(720))
    monkeypatch.setattr(folders, "MOST_TEXT", 10)
    before = {place(MONTH): Folder({"web": 720}, {"shop": Former(NOW, 720)})}
    made = remembered(before, [step], Found({place(MONTH): NOW}, frozenset({"main"}), NOW))
    assert made == {place(MONTH): Folder(unknown=NOW)}
    assert limits(made, [step], {"web"}) == {place(MONTH): Limit(None)}
    assert Layout.of(made).folder("main", "web") == ""
    monkeypatch.setattr(folders, "MOST_TEXT", 0)
    assert remembered(made, [step], Found({place(MONTH): NOW}, frozenset({"main"}), NOW + DAY)) == made


def test_a_folder_is_kept_for_the_longest_minimum_of_whoever_may_have_records_there():
    short, longer = Demand(minimum=24, maximum=1440), Demand(minimum=480, maximum=1440)
    planned = [
        Step(RetentionClass(short, ("web",)), ("web",), 1440, Told(1440)),
        Step(RetentionClass(longer, ("shop",)), ("shop",), 1440, Told(1440)),
    ]
    known = {place(short): Folder({"web": 1440}, {"shop": Former(NOW, 1440)}), place(longer): Folder({"shop": 1440})}
    assert {each.keep for each in limits(known, planned, {"web", "shop"}).values()} == {480}


@pytest.mark.parametrize("text", ["cluster=main/class=a/b", "cluster=../class=a", "class=a", "cluster=a/class=A"])
def test_other_folders_are_none_of_ours(text):
    assert Place.parse(text) is None


def test_the_name_of_a_folder_says_what_it_is():
    assert Place.parse(f"{place(TWO, 'a.b')}/") == Place("a.b", "max60d")


def test_an_announcement_counts_early_only_for_whoever_has_nothing_older_there():
    announced = Announcement(720, NOW)
    step = Step(RetentionClass(MONTH, ("web",)), ("web",), None, Told(None, announced))
    assert limits({place(MONTH): Folder()}, [step], {"web"})[place(MONTH)] == Limit(None, 1)
    assert limits({place(MONTH): Folder(arrived={"web": NOW})}, [step], {"web"})[place(MONTH)] == Limit(720)
    unclear = Step(RetentionClass(MONTH, ("web",), unclear=frozenset({"web"})), ("web",), None, Told(None, announced))
    assert limits({place(MONTH): Folder(arrived={"web": NOW})}, [unclear], {"web"})[place(MONTH)] == Limit(None, 1)


def test_while_nothing_is_clear_nothing_is_deleted_from_folders_of_former_members_either():
    def step(*unclear):
        return Step(RetentionClass(TWO, ("web",), unclear=frozenset(unclear)), ("web",), None, Told(1440))

    gone = {place(MONTH): Folder({}, {"shop": Former(NOW, 720)})}
    assert limits(gone, [step()], {"web"}) == {place(MONTH): Limit(720, keep=720)}
    assert limits(gone, [step("web")], {"web"}) == {place(MONTH): Limit(None, 1)}


DEMANDS = st.sampled_from(
    [
        None,
        Demand(maximum=3 * 24),
        Demand(maximum=9 * 24),
        Demand(minimum=9 * 24, maximum=9 * 24),
        Demand(minimum=14 * 24, maximum=20 * 24),
        Demand(minimum=2 * 24),
        Demand(maximum=3 * 24, legal_hold=True),
    ]
)
SHARED = st.sampled_from([Demand(maximum=3 * 24), Demand(maximum=9 * 24)])
HAPPENINGS = st.tuples(
    st.sampled_from(["demand", "gone", "back", "forget", "late"]), st.sampled_from("abc"), DEMANDS, st.integers(1, 12)
)


@given(SHARED, DEMANDS, st.lists(HAPPENINGS, min_size=1, max_size=12))
def test_no_record_of_a_namespace_goes_that_its_own_demands_keep(shared, other, happenings):
    """Two share a class at first: what one of them asks for later must reach what they have in common."""
    first = {"a": shared, "b": shared, "c": other}
    made = World(existing=set("abc"), demanded={name: each for name, each in first.items() if each is not None})
    last, behind = dict(made.demanded), {}
    made.live(10)
    for what, name, demand, days in happenings:
        happen(made, what, name, demand)
        if name in made.demanded:
            last[name] = made.demanded[name]
        if what == "late":
            behind[name] = made.today + days, made.where(name)
        for _ in range(days):
            made.today += 1
            made.round()
            for each in sorted(made.existing):
                until, where = behind.get(each, (0, None))
                made.write(each, where if made.today < until else made.where(each))
            for gone in made.sweep():
                assert_was_due(made, last, *gone)


def happen(made, what, name, demand):
    if what == "demand":
        made.demanded.pop(name, None)
        if demand is not None and name in made.existing:
            made.demanded[name] = demand
    elif what == "gone":
        made.existing.discard(name)
        made.demanded.pop(name, None)
    elif what == "back":
        made.existing.add(name)
    elif what == "forget":
        made.before, made.known = {}, {}


def assert_was_due(made, last, owner, where, day):
    age, asked = (made.today - day) * 24, made.demanded.get(owner)
    assert where is not None
    assert owner not in made.existing or asked is not None, "nothing is asked any more"
    asked = asked or last[owner]
    assert asked.delete_after is not None, "held, or without an end"
    assert age >= asked.delete_after >= asked.minimum
    told = made.known[owner].told if owner in made.known else Told()
    if told.announced is not None and made.now < told.announced.due:
        assert told.delete_after is not None
        assert age >= told.delete_after, "as it was before, until what is announced is due"


@given(DEMANDS.filter(bool), st.integers(0, 90))
def test_to_look_again_changes_nothing(demand, days):
    made = world(web=demand, shop=MONTH)
    made.live(min(days, 40))
    made.round()
    seen = made.before, made.limits
    made.round()
    assert (made.before, made.limits) == seen
