"""The catalogue as a whole: ids, families, and that each rule is shown to say yes and to say no."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from policies.catalogue import RULES, rule
from policies.claim import Claim
from policies.exemptions import EXEMPTIONS
from policies.resource import Resource, kubernetes_resources
from policies.rule import Exemption, Family, PlanRule, ResourceRule, Rule, unused, violations
from tests.policies.objects import Case, Edit, compliant, edited, found, resource

_MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))


def _cases() -> list[Case]:
    modules = (importlib.import_module(f"tests.policies.{name}") for name in _MODULES)
    return [case for module in modules for case in getattr(module, "CASES", ())]


def test_the_compliant_stack_keeps_every_rule() -> None:
    assert found(compliant()) == []


@pytest.mark.parametrize(
    "each", [rule for rule in RULES if not isinstance(rule, PlanRule)], ids=lambda rule: rule.id
)
def test_each_rule_over_resources_has_a_case_that_it_refuses(each: ResourceRule) -> None:
    refused = [case for case in _cases() if case.rule == each.id]
    assert refused, "a rule that refuses nothing may be empty"
    assert all(found(edited(case.edits)) for case in refused)


def test_rules_over_plans_are_shown_by_the_tests_of_their_family() -> None:
    assert [rule.id for rule in RULES if isinstance(rule, PlanRule)] == [
        "LH-S-001",
        "LH-S-015",
        "LH-S-016",
    ]


def test_no_two_cases_have_one_title_in_one_family() -> None:
    for name in _MODULES:
        titles = [
            case.title for case in getattr(importlib.import_module(f"tests.policies.{name}"), "CASES", ())
        ]
        assert len(titles) == len(set(titles)), name


def test_ids_are_unique_and_of_one_shape() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"LH-[A-Z]-\d{3}", each) for each in ids)


def test_each_family_has_letters_of_its_own() -> None:
    letters = {family: {rule.id[3] for rule in RULES if rule.family is family} for family in Family}
    assert all(len(found) == 1 for found in letters.values())
    assert len(set.union(*letters.values())) == len(Family)


@pytest.mark.parametrize("each", RULES, ids=lambda rule: rule.id)
def test_a_rule_speaks_in_sentences(each: ResourceRule) -> None:
    assert not each.title.endswith(".")
    assert each.reason.endswith(".")
    assert each.fix.rstrip().endswith(".")


@pytest.mark.parametrize("each", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_said_in_cel_or_says_why_not(each: Rule) -> None:
    is_claim = isinstance(each, ResourceRule) and isinstance(each.check, Claim)
    assert is_claim or each.pull_request_only


def test_a_rule_is_found_by_its_id() -> None:
    assert rule("LH-T-001") is RULES[0]
    with pytest.raises(KeyError):
        rule("LH-T-999")


# Exemptions

_AGENT = Exemption("LH-W-002", "kubernetes:apps/v1:DaemonSet", "agents", "agent", "reads the node's logs")
_HOST = Edit("kube", "spec/template/spec/hostNetwork", True)


def _agents() -> list[Resource]:
    return [resource(edited([_HOST])["kube"], "kube")]


def test_an_exemption_silences_its_rule_for_its_object() -> None:
    assert [each.message for each in violations(RULES, _agents())] == ["pod sets hostNetwork"]
    assert list(violations(RULES, _agents(), exemptions=[_AGENT])) == []
    assert unused([_AGENT], RULES, _agents()) == ()


@pytest.mark.parametrize(
    "other",
    [
        Exemption("LH-W-003", _AGENT.type, _AGENT.namespace, _AGENT.name, ""),
        Exemption(_AGENT.rule, "kubernetes:apps/v1:Deployment", _AGENT.namespace, _AGENT.name, ""),
        Exemption(_AGENT.rule, _AGENT.type, "kube-system", _AGENT.name, ""),
        Exemption(_AGENT.rule, _AGENT.type, None, _AGENT.name, ""),
        Exemption(_AGENT.rule, _AGENT.type, _AGENT.namespace, "agent-2", ""),
    ],
    ids=["of another rule", "of another kind", "in another namespace", "in no namespace", "by another name"],
)
def test_an_exemption_silences_nothing_else_and_is_reported_as_unused(other: Exemption) -> None:
    assert [each.rule.id for each in violations(RULES, _agents(), exemptions=[other])] == ["LH-W-002"]
    assert unused([other], RULES, _agents()) == (other,)


def test_an_exemption_of_an_object_that_keeps_the_rule_is_unused() -> None:
    assert unused([_AGENT], RULES, [resource(compliant()["kube"])]) == (_AGENT,)


def test_each_exemption_names_a_rule_and_gives_a_reason() -> None:
    assert all(rule(each.rule) and each.reason.strip() for each in EXEMPTIONS)


# What counts as a Kubernetes object


@pytest.mark.parametrize(
    "token",
    [
        "longhouse:foundation:Tenant",
        "pulumi:providers:kubernetes",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:kustomize/v2:Directory",
    ],
)
def test_components_and_providers_are_no_objects(token: str) -> None:
    assert kubernetes_resources("urn", token, "it", {"metadata": {"name": "it"}}) == ()


def test_a_list_of_objects_is_looked_into_one_by_one() -> None:
    bodies = [compliant()["web"], edited([Edit("web", "spec/template/spec/hostPID", True)])["web"]]
    made = kubernetes_resources("urn", "kubernetes:apps/v1:DeploymentList", "all", {"items": bodies})

    assert [(each.type, each.name) for each in made] == [
        ("kubernetes:apps/v1:Deployment", "all[0]"),
        ("kubernetes:apps/v1:Deployment", "all[1]"),
    ]
    assert [each.resource.name for each in violations(RULES, made)] == ["all[1]"]


def test_a_patch_of_a_kind_is_held_to_the_rules_of_the_kind() -> None:
    body = edited([Edit("web", "spec/template/spec/hostPID", True)])["web"]
    (patch,) = kubernetes_resources("urn", "kubernetes:apps/v1:DeploymentPatch", "web", body)
    assert [each.text for each in violations(RULES, [patch])] == [
        "Deployment tenant-atlas/web: pod sets hostPID"
    ]


def test_an_object_whose_name_is_left_to_pulumi_goes_by_its_name_in_the_program() -> None:
    assert resource({"apiVersion": "v1", "kind": "Service", "metadata": {}}, "web").subject == "Service web"
