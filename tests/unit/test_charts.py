"""Upstream's charts: chosen by kind, owned by the platform, adjusted object by object."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from modules.kit import charts, labels, rendered
from modules.kit.rendered import crds, rest

CHART = """---
# Source: shop/templates/crd.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pies.shop
spec:
  description: |
    kind: Deployment
    ---
    is text here
  properties:
    description: {type: string, description: what it is}
    sign: {description: more or less, enum: [=, "yes"]}
---
# Source: shop/templates/manager.yaml
apiVersion: apps/v1
kind: "Deployment"
metadata:
  name: baker
---
# only a comment
---
apiVersion: v1
kind: Service
metadata:
  name: counter
"""
OWNER = labels.platform("shop", "bakers")


def names(manifests: str) -> list[str]:
    return [line.strip() for line in manifests.splitlines() if line.startswith("  name: ")]


def transformed(props: dict[str, Any], adjust: charts.Adjust | None = None) -> dict[str, Any]:
    args = pulumi.ResourceTransformArgs(
        custom=True,
        type_="kubernetes:apps/v1:Deployment",
        name="shop:baker",
        props=props,
        opts=pulumi.ResourceOptions(),
    )
    result = charts.adjusted(OWNER, adjust)(args)
    assert isinstance(result, pulumi.ResourceTransformResult)
    return dict(result.props)


def test_crds_can_be_declared_alone() -> None:
    assert names(crds(CHART)) == ["name: pies.shop"]


def test_the_rest_can_be_declared_without_them() -> None:
    assert names(rest(CHART, [])) == ["name: baker", "name: counter"]


def test_both_halves_together_are_the_chart() -> None:
    assert sorted(names(crds(CHART) + rest(CHART, []))) == sorted(names(CHART))


def test_a_crd_loses_its_prose_and_keeps_a_property_of_that_name() -> None:
    (spec,) = [document["spec"] for document in yaml.safe_load_all(crds(CHART))]
    assert spec == {"properties": {"description": {"type": "string"}, "sign": {"enum": ["=", "yes"]}}}


def test_the_rest_is_kept_as_it_was_written() -> None:
    assert '# Source: shop/templates/manager.yaml\napiVersion: apps/v1\nkind: "Deployment"' in rest(CHART, [])


@pytest.mark.parametrize("left_out", ["Deployment", "Deployment/baker", "Deployment/b*"])
def test_what_is_left_out_by_kind_or_name_is_not_declared(left_out: str) -> None:
    assert names(rest(CHART, [left_out])) == ["name: counter"]


@pytest.mark.parametrize("other", ["Deployment/counter", "Service/b*", "Deploy", "deployment"])
def test_what_is_only_alike_is_declared(other: str) -> None:
    assert names(rest(CHART, [other])) == ["name: baker", "name: counter"]


def test_nothing_is_left_of_an_empty_chart() -> None:
    assert rest("---\n# nothing\n", []) == crds("---\n# nothing\n") == ""


def test_the_provider_can_run_it_as_a_program() -> None:
    command = [sys.executable, "-I", str(Path(rendered.__file__)), "rest", "Deployment"]
    done = subprocess.run(command, input=CHART, capture_output=True, text=True, check=True)
    assert names(done.stdout) == ["name: counter"]


@pytest.mark.parametrize("own", [None, {}, {"app.kubernetes.io/managed-by": "Helm", "app": "baker"}])
def test_an_object_of_a_chart_carries_its_owner(own: dict[str, str] | None) -> None:
    metadata = transformed({"kind": "Service", "metadata": {"name": "counter", "labels": own}})["metadata"]
    assert metadata["labels"] == {**(own or {}), **OWNER}
    assert metadata["annotations"] == {"pulumi.com/patchFieldManager": "longhouse"}


def test_pods_of_a_chart_carry_its_owner_and_keep_what_selects_them() -> None:
    template = {"metadata": {"labels": {"app": "baker"}}, "spec": {}}
    spec = {"selector": {"matchLabels": {"app": "baker"}}, "template": template}
    found = transformed({"kind": "Deployment", "metadata": {"name": "baker"}, "spec": spec})["spec"]
    assert found["template"]["metadata"]["labels"] == {"app": "baker", **OWNER}
    assert found["selector"] == {"matchLabels": {"app": "baker"}}


def test_an_adjustment_sees_each_object_and_has_the_last_word() -> None:
    def adjust(found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "spec": {"owner": found["metadata"]["labels"][labels.OWNER]}}

    found = transformed({"kind": "Service", "metadata": {"name": "counter"}}, adjust)
    assert found["spec"] == {"owner": "bakers"}


def test_the_engines_own_copy_of_an_object_is_left_alone() -> None:
    props = {"kind": "Service", "metadata": {"name": "counter"}}
    transformed(props)
    assert props == {"kind": "Service", "metadata": {"name": "counter"}}


def test_what_is_no_object_passes_unchanged() -> None:
    args = pulumi.ResourceTransformArgs(
        custom=False,
        type_="kubernetes:helm.sh/v4:Chart",
        name="shop",
        props={"chart": "/shop"},
        opts=pulumi.ResourceOptions(),
    )
    assert charts.adjusted(OWNER)(args) is None
