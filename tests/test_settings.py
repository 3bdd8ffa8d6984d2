import itertools
from pathlib import Path

import pytest

from audit_operator.settings import PREFIX, LogLevel, Settings, SettingsError

DOCUMENTATION = Path(__file__).parents[1] / "docs" / "settings.md"


def read(**variables):
    return Settings.from_environment({f"{PREFIX}{name}": value for name, value in variables.items()})


def test_an_empty_environment_gives_the_defaults():
    settings = Settings.from_environment({"PATH": "/bin"})
    assert settings.resync_seconds == 300.0
    assert settings.kubeconfig is None


def test_every_setting_can_be_given():
    settings = read(
        KUBECONFIG="/k", CONTEXT="c", NAMESPACE="n", LISTEN_PORT="0", QUIET_SECONDS="0.5", LOG_LEVEL="DEBUG", LEASE="l"
    )
    assert (settings.kubeconfig, settings.context, settings.namespace) == (Path("/k"), "c", "n")
    assert (settings.listen_port, settings.quiet_seconds, settings.log_level) == (0, 0.5, LogLevel.DEBUG)


def test_an_empty_variable_counts_as_absent():
    assert read(KUBECONFIG="", LISTEN_PORT="").kubeconfig is None


def test_a_misspelt_variable_is_an_error():
    with pytest.raises(SettingsError, match="AUDIT_OPERATOR_RESYNC_SECOND is no setting"):
        read(RESYNC_SECOND="5")


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_METRICS",
        "PORT",
        "PORT_8080_TCP",
        "PORT_8080_TCP_ADDR",
        "METRICS_SERVICE_HOST",
        "METRICS_PORT_8080_TCP_PROTO",
    ],
)
def test_what_the_kubelet_says_of_services_is_ignored(name):
    read(**{name: "tcp://10.0.0.1:8080"})


def test_what_other_commands_read_is_ignored():
    read(CACHE="/cache")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN_PORT", "http"),
        ("LISTEN_PORT", "65536"),
        ("RESYNC_SECONDS", "0"),
        ("RESYNC_SECONDS", "-1"),
        ("RESYNC_SECONDS", "nan"),
        ("RESYNC_SECONDS", "inf"),
        ("LEASE_SECONDS", "1.5"),
        ("LEASE_SECONDS", "1"),
        ("LOG_LEVEL", "LOUD"),
        ("NAMESPACE", "Not A Name"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(name, value):
    with pytest.raises(SettingsError, match=f"{PREFIX}{name}='{value}' "):
        read(**{name: value})


def test_all_mistakes_are_named_at_once():
    with pytest.raises(SettingsError, match=r"LEASE_SECONDS.*LISTEN_PORT.*TYPO"):
        read(LISTEN_PORT="x", LEASE_SECONDS="x", TYPO="x")


def test_a_list_may_be_as_old_as_the_interval():
    with pytest.raises(SettingsError, match="STALE_SECONDS must exceed"):
        read(RESYNC_SECONDS="900")


def test_a_change_cannot_wait_less_than_the_quiet_that_it_waits_for():
    with pytest.raises(SettingsError, match="DEBOUNCE_SECONDS"):
        read(QUIET_SECONDS="5")


def test_two_processes_on_one_host_have_two_identities():
    assert len({Settings().identity for _ in range(10)}) == 10


def test_the_documentation_lists_every_setting_with_its_default():
    rows = [line for line in DOCUMENTATION.read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    expected = []
    for name, field in Settings.model_fields.items():
        plain = field.default_factory or field.default in (None, "")
        default = "" if plain else f"`{getattr(field.default, 'value', field.default)}`"
        expected.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    for row, wanted in itertools.zip_longest(rows, expected):
        assert row == wanted
