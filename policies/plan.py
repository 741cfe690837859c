"""A preview as data: what the engine's events say would change, and what the rules say to that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from pulumi.automation.events import (
    EngineEvent,
    OpType,
    PolicyEvent,
    StepEventMetadata,
    StepEventStateMetadata,
)
from pulumi.runtime.rpc import UNKNOWN as UNKNOWN_VALUE
from pulumi_policy.proxy import (
    UNKNOWN_ARRAY_VALUE,
    UNKNOWN_BOOLEAN_VALUE,
    UNKNOWN_NUMBER_VALUE,
    UNKNOWN_OBJECT_VALUE,
)

from policies.catalogue import RULES
from policies.crossguard import PACK
from policies.exemptions import EXEMPTIONS
from policies.resource import UNKNOWN, Resource, kubernetes_resources
from policies.rule import Exemption, Op, PlanRule, Rule, Severity, Step, unused, violations
from policies.throwaway import charts

_UNKNOWN_VALUES: Final = frozenset(
    {UNKNOWN_VALUE, UNKNOWN_ARRAY_VALUE, UNKNOWN_BOOLEAN_VALUE, UNKNOWN_NUMBER_VALUE, UNKNOWN_OBJECT_VALUE}
)
_OPS: Final[Mapping[OpType, Op]] = {
    OpType.SAME: Op.SAME,
    OpType.CREATE: Op.CREATE,
    OpType.IMPORT: Op.CREATE,
    OpType.UPDATE: Op.UPDATE,
    OpType.DELETE: Op.DELETE,
    OpType.REPLACE: Op.REPLACE,
    OpType.CREATE_REPLACEMENT: Op.REPLACE,
    OpType.DELETE_REPLACED: Op.REPLACE,
    OpType.IMPORT_REPLACEMENT: Op.REPLACE,
}
"""What each of the engine's steps is to people. Those that only read, refresh or clean up the state are nothing to them."""

_STACK: Final = "pulumi:pulumi:Stack"
"""Type of the resource that holds what a program exports."""
_PREVIEW_FAILED: Final = "preview failed"
"""What the engine says of a program that ran well but broke a policy."""
_PROGRAM_ENDED: Final = "an unhandled error occurred: program exited"
"""What the engine says of a program that ended itself: the reason is in what the program printed to standard error."""


@dataclass(frozen=True)
class Finding:
    """What a rule says, with what it takes to put it right."""

    rule: str
    severity: Severity
    subject: str
    """The object, by kind, namespace and name; empty when a rule of another pack does not say."""
    message: str
    title: str
    fix: str


@dataclass(frozen=True)
class Change:
    """What the plan does to one Kubernetes object."""

    op: Op
    urn: str
    subject: str
    component: str
    """The component that declares it, such as `foundation:Tenant`; empty for none."""
    tenant: str
    """The tenant it belongs to; empty for none."""


@dataclass(frozen=True)
class Plan:
    """A finished preview."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    errors: tuple[str, ...]
    """Why the preview is not complete. One that is not decides nothing."""
    unused: tuple[Exemption, ...]
    """Exemptions of objects in this plan to which their rule has nothing to say any more."""
    unjudged: tuple[str, ...] = ()
    """What the throw-away program says that it had to leave out."""
    steps: tuple[Step, ...] = ()
    """The same as `changes`, with all that the objects are and were."""
    exported_before: Mapping[str, Any] = field(default_factory=dict)
    """What the stack exported when it was deployed last."""
    exported: Mapping[str, Any] = field(default_factory=dict)
    """What it would export."""

    @property
    def refused(self) -> bool:
        """Whether a violation stops the deployment."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 when the plan may be carried out, 1 when a rule forbids it, 2 when nobody knows."""
        return 2 if self.errors else int(self.refused)

    def count(self, op: Op) -> int:
        """How many objects it happens to."""
        return sum(change.op is op for change in self.changes)


@dataclass
class _Object:
    """All that the engine does to one URN."""

    ops: set[Op] = field(default_factory=set)
    old: StepEventStateMetadata | None = None
    new: StepEventStateMetadata | None = None

    @property
    def op(self) -> Op:
        return max(self.ops, key=list(Op).index) if Op.REPLACE not in self.ops else Op.REPLACE


class Events:
    """Listens to a preview and makes a plan of what it hears."""

    def __init__(self) -> None:
        self._objects: dict[str, _Object] = {}
        self._findings: list[Finding] = []
        self._errors: list[str] = []
        self._said: list[str] = []
        self._unjudged: list[str] = []
        self._packs: set[str] = set()
        self._stack: StepEventMetadata | None = None
        self._finished = False

    def __call__(self, event: EngineEvent) -> None:
        """Take in one event."""
        if event.resource_pre_event is not None:
            self._step(event.resource_pre_event.metadata)
        elif event.res_outputs_event is not None:
            if event.res_outputs_event.metadata.type == _STACK:
                self._stack = (
                    event.res_outputs_event.metadata
                )  # The last one is of what the program exported.
        elif event.policy_event is not None:
            self._findings.append(_finding(event.policy_event))
        elif event.diagnostic_event is not None:
            if event.diagnostic_event.severity == "error":
                self._error(event.diagnostic_event.message, event.diagnostic_event.urn or "")
            elif charts.OUT_OF_REACH in event.diagnostic_event.message:
                self._unjudged.append(event.diagnostic_event.message.strip())
            elif event.diagnostic_event.severity == "info#err":
                self._said.append(event.diagnostic_event.message)
        elif event.summary_event is not None:
            self._finished = True
            self._packs |= {name.partition("|")[0] for name in event.summary_event.policy_packs}

    @property
    def seen(self) -> int:
        """How many resources the engine has come to so far."""
        return len(self._objects)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is done to each Kubernetes object, so far."""
        return tuple(step for each in self._objects.values() for step in _steps(each))

    @property
    def errors(self) -> tuple[str, ...]:
        """What the engine and the program complained of, so far."""
        return tuple(self._errors)

    def plan(
        self,
        failure: str | None = None,
        rules: Sequence[Rule] = RULES,
        exemptions: Sequence[Exemption] = EXEMPTIONS,
    ) -> Plan:
        """The plan. `failure` is what the command said when it failed: an error unless the events explain it."""
        steps = self.steps
        broken = violations([rule for rule in rules if isinstance(rule, PlanRule)], (), steps, exemptions)
        findings = _unique(
            [
                *self._findings,
                *(
                    Finding(
                        v.rule.id, v.rule.severity, v.resource.subject, v.message, v.rule.title, v.rule.fix
                    )
                    for v in broken
                ),
            ]
        )
        errors = list(self._errors)
        explained = errors or any(finding.severity is Severity.ERROR for finding in self._findings)
        if failure is not None and not explained:
            errors.append(failure)
        elif not errors and not self._finished:
            errors.append("the preview ended without a summary")
        elif not errors and PACK not in self._packs:
            errors.append(f"the policy pack {PACK} did not run")
        return Plan(
            changes=tuple(_change(step) for step in steps),
            findings=in_order(findings),
            errors=tuple(errors),
            unused=_idle(exemptions, rules, steps),
            unjudged=tuple(dict.fromkeys(self._unjudged)),
            steps=steps,
            exported_before=_outputs(self._stack.old if self._stack else None),
            exported=_outputs(self._stack.new if self._stack else None),
        )

    def _step(self, metadata: StepEventMetadata) -> None:
        if metadata.op not in _OPS:
            return
        found = self._objects.setdefault(metadata.urn, _Object())
        found.ops.add(_OPS[metadata.op])
        found.old = metadata.old or found.old
        found.new = metadata.new or found.new

    def _error(self, message: str, urn: str) -> None:
        said = message.strip()
        if said.startswith(_PROGRAM_ENDED):
            own = "\n".join(line for text in self._said for line in text.splitlines() if line)
            said = own or said
        if said != _PREVIEW_FAILED:
            where = f"{urn.rpartition('::')[2]}: " if urn else ""
            self._errors.append(where + said)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then by rule and object."""
    return tuple(
        sorted(findings, key=lambda finding: (finding.severity.value, finding.rule, finding.subject))
    )


def _unique(findings: Sequence[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


def _finding(event: PolicyEvent) -> Finding:
    """A violation as the engine reports it. It has neither rule nor URN, so the pack begins its messages with the rule and the object."""
    severity = Severity.ERROR if event.enforcement_level == "mandatory" else Severity.WARNING
    _description, _, text = event.message.strip().partition("\n")
    id, _, said = text.partition(" ")
    rule = next((each for each in RULES if each.id == id), None)
    if event.policy_pack_name != PACK or rule is None:
        return Finding(event.policy_name, severity, "", event.message.strip(), event.policy_pack_name, "")
    subject, _, message = said.partition(": ")
    return Finding(rule.id, severity, subject, message, rule.title, rule.fix)


def _steps(found: _Object) -> list[Step]:
    old, new = _resources(found.old), _resources(found.new if found.op is not Op.DELETE else None)
    retained = bool(found.old and found.old.retain_on_delete)
    return [Step(found.op, before, after, retained) for before, after in zip_longest(old, new)]


def _outputs(state: StepEventStateMetadata | None) -> Mapping[str, Any]:
    return (state.outputs if state else None) or {}


def _resources(state: StepEventStateMetadata | None) -> tuple[Resource, ...]:
    if state is None:
        return ()
    return kubernetes_resources(
        state.urn, state.type, state.urn.rpartition("::")[2], _plain(state.inputs or {})
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return UNKNOWN if isinstance(value, str) and value in _UNKNOWN_VALUES else value


def _change(step: Step) -> Change:
    resource = step.resource
    return Change(
        step.op, resource.urn, resource.subject, _component(resource.urn), resource.owning_tenant or ""
    )


def _component(urn: str) -> str:
    """The innermost of the platform's components around a resource, by the types that its URN lists from the outside in."""
    types = urn.split("::")[2].split("$")[:-1]
    ours = [each.partition(":")[2] for each in types if each.startswith("longhouse:")]
    return ours[-1] if ours else ""


def _idle(
    exemptions: Sequence[Exemption], rules: Sequence[Rule], steps: Sequence[Step]
) -> tuple[Exemption, ...]:
    resources = [step.new for step in steps if step.new is not None]
    declared = {(each.type, each.namespace, each.object_name) for each in resources}
    concerned = [each for each in exemptions if each.subject in declared]
    return unused(concerned, rules, resources, steps) if concerned else ()


def totals(changes: Sequence[Change]) -> dict[tuple[str, str], Counter[Op]]:
    """How many objects each operation touches, by component and tenant, in order of both."""
    found: dict[tuple[str, str], Counter[Op]] = {}
    for change in sorted(changes, key=lambda each: (each.component, each.tenant)):
        found.setdefault((change.component, change.tenant), Counter())[change.op] += 1
    return found
