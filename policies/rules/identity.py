"""Access to the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.claim import Clause, each, forbid, over, over_pods
from policies.expression import IN_TENANT, OBJECT, POD_SPEC, Name, any_of
from policies.resource import Resource
from policies.rule import Family, ResourceRule, Severity

_CIS: Final = "CIS Kubernetes Benchmark"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide: Authentication and authorization"
_API: Final = "rbac.authorization.k8s.io/"
_ROLES: Final = (_API + "Role", _API + "ClusterRole")
_BINDINGS: Final = (_API + "RoleBinding", _API + "ClusterRoleBinding")
_FIELDS: Final = ("verbs", "apiGroups", "resources", "nonResourceURLs")
_POWERS: Final = ("bind", "escalate", "impersonate")
_EVERYBODY: Final = ("system:anonymous", "system:authenticated", "system:unauthenticated")
_PUBLIC_ROLES: Final = ("system:basic-user", "system:discovery", "system:public-info-viewer")
"""ClusterRoles that Kubernetes itself gives to everybody."""
_WRITES: Final = ("create", "update", "patch", "delete", "deletecollection")
_READS: Final = ("get", "list", "watch")

_RULE: Final = Name("rule")
_VALUE: Final = Name("value")
_SUBJECT: Final = Name("subject")
_SOURCE: Final = Name("source")
_VOLUME: Final = Name("volume")
_VERB: Final = Name("verb")
_RULES: Final = each(_RULE, OBJECT["rules"])
_OWN_RULES: Final = OBJECT["aggregationRule"].absent
"""What a role holds that gathers others is the control plane's to write; each role that it gathers is judged."""
_SUBJECTS: Final = each(_SUBJECT, OBJECT["subjects"])


def _grants(resources: tuple[str, ...], verbs: tuple[str, ...], *, group: str, named: bool = False) -> Clause:
    """That no role grants verbs on resources of a group; `named` lets it grant them on objects that it names."""
    wrong = _VALUE.known & _VALUE.among(resources) & _RULE["apiGroups"].has(group)
    wrong &= any_of(_RULE["verbs"], _VERB, _VERB.known & _VERB.among(verbs))
    return forbid(
        wrong & ~_RULE["resourceNames"].filled if named else wrong,
        "rules[", _RULES.key, "] grants ", _VALUE,
        over=[_RULES, each(_VALUE, _RULE["resources"])],
    )  # fmt: skip


_WILDCARDS: Final = over(
    _ROLES,
    *(
        forbid(
            _VALUE.matches("(^|/)[*](/|$)" if field == "resources" else "^/?[*]$"),
            "rules[", _RULES.key, f"].{field} holds ", _VALUE,
            over=[_RULES, each(_VALUE, _RULE[field])],
        )
        for field in _FIELDS
    ),
    where=_OWN_RULES,
)  # fmt: skip

_SELF_MADE: Final = over(
    _ROLES,
    forbid(
        _VALUE.known & _VALUE.among(_POWERS),
        "rules[", _RULES.key, "].verbs holds ", _VALUE,
        over=[_RULES, each(_VALUE, _RULE["verbs"])],
    ),
    where=_OWN_RULES,
)  # fmt: skip

_ROLE: Final = OBJECT["roleRef", "name"]
_MASTERS: Final = over(
    _BINDINGS,
    forbid(_ROLE.eq("cluster-admin"), "binds ", _ROLE),
    forbid(
        _SUBJECT["name"].eq("system:masters"),
        "gives its role to system:masters, whom no rule of access holds",
        over=[_SUBJECTS],
    ),
    forbid(
        _SUBJECT["name"].among(_EVERYBODY) & ~_ROLE.among(_PUBLIC_ROLES),
        "gives its role to everybody (", _SUBJECT["name"], ")",
        over=[_SUBJECTS],
    ),
)  # fmt: skip

_ALL_ACCOUNTS: Final = over(
    _BINDINGS,
    forbid(
        _SUBJECT["name"].among(("system:serviceaccounts", "system:nodes")),
        "gives its role to ", _SUBJECT["name"],
        over=[_SUBJECTS],
    ),
)  # fmt: skip

_SECRETS: Final = over(
    _API + "ClusterRole", _grants(("secrets",), _READS, group="", named=True), where=_OWN_RULES
)
_TOKENS: Final = over(
    _ROLES,
    _grants(("serviceaccounts/token",), ("create",), group="", named=True),
    _grants(
        ("certificatesigningrequests/approval",), ("update", "patch"), group="certificates.k8s.io", named=True
    ),
    where=_OWN_RULES,
)
_NODES: Final = over(_ROLES, _grants(("nodes/proxy",), (*_READS, *_WRITES), group=""), where=_OWN_RULES)
_ADMISSION: Final = over(
    _ROLES,
    _grants(
        (
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ),
        _WRITES,
        group="admissionregistration.k8s.io",
    ),
    where=_OWN_RULES,
)
_VOLUMES: Final = over(_ROLES, _grants(("persistentvolumes",), ("create",), group=""), where=_OWN_RULES)

_GROWING: Final = over(
    _API + "RoleBinding",
    forbid(
        OBJECT["roleRef", "kind"].eq("ClusterRole") & _ROLE.known & _ROLE.among(("admin", "edit", "view")),
        "binds ", _ROLE, ", which grows with every operator",
    ),
    where=IN_TENANT,
)  # fmt: skip

_LONG_TOKENS: Final = over_pods(
    forbid(
        _SOURCE["serviceAccountToken", "expirationSeconds"].more_than(86400),
        "volume ", _VOLUME["name"], " holds a token for ", _SOURCE["serviceAccountToken", "expirationSeconds"], " seconds",
        over=[each(_VOLUME, POD_SPEC["volumes"]), each(_SOURCE, _VOLUME["projected", "sources"])],
    )
)  # fmt: skip


def _unasked_tokens(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        account = pod.spec.get("serviceAccountName")
        if account in (None, "", "default") and pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.where}pod takes the token of its namespace's default account"


RULES: Final = (
    ResourceRule(
        id="LH-A-001",
        title="No role holds a wildcard",
        reason="A wildcard also grants what later versions and other operators add, secrets and CRDs with it.",
        fix="Name the verbs, API groups and resources that are used.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (wildcard use in Roles and ClusterRoles)", _NSA),
        check=_WILDCARDS,
    ),
    ResourceRule(
        id="LH-A-002",
        title="No role can make itself more powerful",
        reason="Who may escalate or bind roles, or impersonate others, has every right that exists.",
        fix="Take the verb away: grant the rights themselves.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (bind, impersonate and escalate permissions)",),
        check=_SELF_MADE,
    ),
    ResourceRule(
        id="LH-A-003",
        title="Nobody is made administrator of the cluster, and nothing is granted to everybody",
        reason="Such a binding outlives its purpose, and no namespace, quota or review stands in its way.",
        fix="Bind a role that holds what is needed to the group or service account that needs it.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(
            f"{_CIS}: 5.1 RBAC and Service Accounts (cluster-admin role, system:masters group)",
            _NSA,
        ),
        check=_MASTERS,
    ),
    ResourceRule(
        id="LH-A-004",
        title="Nobody reads the secrets of the whole cluster",
        reason="A ClusterRole that lists secrets, bound once too widely, gives away every password and key of every tenant.",
        fix="Use a Role in the namespace, or name the secrets by resourceNames.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (access to secrets)",),
        check=_SECRETS,
    ),
    ResourceRule(
        id="LH-A-005",
        title="No role makes credentials for others",
        reason="Who may make tokens for any service account, or approve certificates, can become anybody.",
        fix="Take the resource away, or name the accounts or signers by resourceNames.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(
            f"{_CIS}: 5.1 RBAC and Service Accounts (token creation, approval of CertificateSigningRequests)",
        ),
        check=_TOKENS,
    ),
    ResourceRule(
        id="LH-A-006",
        title="No role goes through to the kubelet",
        reason="nodes/proxy runs commands in every pod of the node, past admission and the audit log.",
        fix="Take nodes/proxy away; metrics have nodes/metrics.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (proxy sub-resource of nodes)",),
        check=_NODES,
    ),
    ResourceRule(
        id="LH-A-007",
        title="No role changes what requests are checked by",
        reason="Who may write webhooks or admission policies reads every object that is made, and switches these rules off.",
        fix="Take the verbs that write away; declare webhooks and policies with the stack.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (webhook configuration objects)",),
        check=_ADMISSION,
    ),
    ResourceRule(
        id="LH-A-008",
        title="No role makes volumes of its own choosing",
        reason="A PersistentVolume can be any directory of any node, and any other tenant's disk.",
        fix="Take persistentvolumes away; claims and a StorageClass make volumes.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (create access to persistent volumes)",),
        check=_VOLUMES,
    ),
    ResourceRule(
        id="LH-A-009",
        title="Nothing is granted to every service account or every node",
        reason="Every pod of every tenant has such an account, and every machine such a name.",
        fix="Bind the role to the accounts that need it.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (default service accounts)",),
        check=_ALL_ACCOUNTS,
    ),
    ResourceRule(
        id="LH-A-010",
        title="Tenants have the platform's roles, not Kubernetes' own",
        reason="Operators add to admin, edit and view by aggregation: what they grant today is not what they grant after the next upgrade.",
        fix="Bind one of the roles longhouse:tenant-viewer, -editor or -admin.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(_NSA,),
        check=_GROWING,
    ),
    ResourceRule(
        id="LH-A-011",
        title="No token is made for longer than a day",
        reason="A token that is read from a pod is good for as long as it was made for, wherever it is used.",
        fix="Set expirationSeconds to at most 86400; the kubelet renews it in time.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (service account tokens)",),
        check=_LONG_TOKENS,
    ),
    ResourceRule(
        id="LH-A-012",
        title="No declared pod has a token that nobody asked for",
        reason="The namespace's default account is everybody's: what is granted to it, by mistake or for one, all pods have.",
        fix="Set automountServiceAccountToken to false, or name an account of the pod's own.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(
            f"{_CIS}: 5.1 RBAC and Service Accounts (default service accounts, tokens mounted where necessary)",
        ),
        pull_request_only="A tenant's default account is declared without a token, so that what tenants start need not say it again.",
        check=_unasked_tokens,
    ),
)
