"""Small rules in the languages of others, written for these tests, and policies to try them with."""

from __future__ import annotations

from audit_operator.api.audit import Level, Stage
from audit_operator.detections.elastic import elastic_rules
from audit_operator.detections.falco import falco_rules
from audit_operator.detections.sigma import sigma_rules
from audit_operator.policy.model import Policy, Rule

METADATA = Policy((Rule(Level.METADATA),))
REQUEST = Policy((Rule(Level.REQUEST),))
EVERYTHING = Policy((Rule(Level.REQUEST_RESPONSE),))
NOTHING = Policy((Rule(Level.NONE),))
WITHOUT_STARTED = Policy((Rule(Level.REQUEST_RESPONSE),), frozenset({Stage.RESPONSE_STARTED}))


def falco(condition, extra=""):
    """The rule of Falco with that condition, after other items of the file."""
    text = f"{extra}\n- rule: it\n  source: k8s_audit\n  condition: >\n    {condition}\n"
    return falco_rules(text, "rules.yaml")[-1]


def sigma(detection):
    """The rule of Sigma with that detection, indented by four."""
    text = f"title: it\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n{detection}"
    return sigma_rules(text, "rule.yml")[0]


def elastic(query, language="kuery", kind="query", more=""):
    """The rule of Elastic with that query."""
    text = f"[rule]\nname = 'it'\nlanguage = '{language}'\ntype = '{kind}'\nquery = '''\n{query}\n'''\n{more}\n"
    return elastic_rules(text, "rule.toml")[0]


def kql(query):
    return elastic(f"kubernetes.audit.verb: * and ({query})")


def eql(query):
    return elastic(f'any where data_stream.dataset == "kubernetes.audit_logs" and {query}', "eql", "eql")


def esql(query):
    return elastic(f"from logs-kubernetes.audit_logs-* | {query}", "esql", "esql")
