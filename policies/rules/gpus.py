"""GPUs: that work asks for what there is, of the kind that is for it, and that GPU nodes are kept for work with GPUs.

What a tenant can get its namespace says itself, in annotations that the platform keeps (`modules/foundation/tenants/offers.py`).
"""

from __future__ import annotations

from typing import Final

from modules.kit import labels, names
from policies.claim import CONTAINERS, each, each_entry, forbid, over_pods
from policies.expression import (
    BODY,
    IN_TENANT,
    LABELS,
    META,
    POD,
    POD_SPEC,
    SAID,
    WHERE,
    Condition,
    Name,
    Term,
    Variable,
    any_key,
    any_of,
    either,
    text,
    words,
)
from policies.rule import Family, ResourceRule, Severity

_TAINT: Final = "nvidia.com/gpu"
_SHARED: Final = "nvidia.com/gpu.shared"
_GPUS: Final = r"^(nvidia[.]com/(gpu|mig-)|amd[.]com/gpu|gpu[.]intel[.]com/)"
"""Names of resources that are GPUs. Others of the same vendors are not, such as network adapters."""
_KEY: Final = Name("key")
_AMOUNT: Final = Name("amount")
_OTHER_KEY: Final = Name("other_key")
_ONE: Final = Name("one")
_OTHER: Final = Name("other")
_WORD: Final = Name("word")
_TOLERATION: Final = Name("toleration")
_LIMITS: Final = BODY["resources", "limits"]
_REQUESTS: Final = BODY["resources", "requests"]
_EACH_LIMIT: Final = each_entry(_KEY, _AMOUNT, _LIMITS)
_EACH_REQUEST: Final = each_entry(_KEY, _AMOUNT, _REQUESTS)
_USE: Final = either(POD["metadata", "labels", labels.USE], names.DEFAULT_USE)
_IN_GPU_QUEUE: Final = LABELS[labels.QUEUE].matches(f"^{names.GPU_QUEUE}([.]|$)")
_NOBODYS: Final = ~META["ownerReferences"].filled
"""What belongs to another object was judged with it."""


def _is_gpu(key: Name) -> Condition:
    return key.matches(_GPUS)


def _offered(key: Name, offers: Term) -> Condition:
    """Whether one of the words `pool=resource` ends in the resource."""
    return any_of(words(offers), _WORD, _WORD.ends_with(text("=", key)))


def _asks(holder: Name, wanted: Condition) -> Condition:
    return any_key(holder["body", "resources", "limits"], _KEY, wanted)


_ANY: Final = any_of(Variable("containers"), _ONE, _asks(_ONE, _is_gpu(_KEY)))
"""Whether the pod asks for a GPU."""

_ALL: Final = SAID[labels.GPUS]

_THERE: Final = over_pods(
    forbid(
        _is_gpu(_KEY) & ~_offered(_KEY, _ALL),
        WHERE, " asks for ", _KEY, ", and the pools have: ", either(_ALL, "none"),
        over=[CONTAINERS, _EACH_LIMIT],
    ),
    where=IN_TENANT,
    home=True,
)  # fmt: skip

_FOR: Final = over_pods(
    *(
        forbid(
            _USE.eq(use) & _is_gpu(_KEY) & _offered(_KEY, _ALL) & ~_offered(_KEY, SAID[labels.GPUS_FOR + use]),
            WHERE, " asks for ", _KEY, f", and for {use} there is: ", either(SAID[labels.GPUS_FOR + use], "none"),
            over=[CONTAINERS, _EACH_LIMIT],
        )
        for use in names.USES
    ),
    forbid(
        ~_USE.among(names.USES) & _ANY,
        "pod asks for a GPU and is for ", _USE, f", which is none of {', '.join(names.USES)}",
    ),
    where=IN_TENANT,
    home=True,
)  # fmt: skip

_ONE_KIND: Final = over_pods(
    forbid(
        _is_gpu(_KEY) & _REQUESTS[_KEY].present & ~text(_REQUESTS[_KEY]).eq(text(_AMOUNT)),
        WHERE, " requests ", _REQUESTS[_KEY], " of ", _KEY, " and is limited to ", _AMOUNT,
        over=[CONTAINERS, _EACH_LIMIT],
    ),
    forbid(
        _is_gpu(_KEY) & _LIMITS[_KEY].absent,
        WHERE, " requests ", _KEY, " without a limit",
        over=[CONTAINERS, _EACH_REQUEST],
    ),
    forbid(
        _KEY.eq(_SHARED) & ~text(_AMOUNT).eq("1"),
        WHERE, " asks for ", _AMOUNT, " turns on a GPU, and gets no more of it than with 1",
        over=[CONTAINERS, _EACH_LIMIT],
    ),
    forbid(
        any_of(
            Variable("containers"),
            _ONE,
            _asks(
                _ONE,
                _is_gpu(_KEY)
                & any_of(
                    Variable("containers"),
                    _OTHER,
                    any_key(
                        _OTHER["body", "resources", "limits"],
                        _OTHER_KEY,
                        _is_gpu(_OTHER_KEY) & ~_OTHER_KEY.eq(_KEY),
                    ),
                ),
            ),
        ),
        "pod asks for more than one kind of GPU",
    ),
    where=IN_TENANT,
)  # fmt: skip

_KEPT_FREE: Final = over_pods(
    forbid(
        _TOLERATION["key"].eq(_TAINT) & ~_ANY,
        f"pod tolerates the taint {_TAINT} and asks for no GPU",
        over=[each(_TOLERATION, POD_SPEC["tolerations"])],
    ),
    where=IN_TENANT & _NOBODYS & ~_IN_GPU_QUEUE,
)

_WITH_A_GPU: Final = over_pods(
    forbid(~_ANY, "waits in the queue ", LABELS[labels.QUEUE], " and asks for no GPU"),
    where=IN_TENANT & _NOBODYS & _IN_GPU_QUEUE,
)

RULES: Final = (
    ResourceRule(
        id="LH-G-001",
        title="Work asks for GPUs that there are",
        reason="A resource that no pool of the tenant has is waited for for ever: most often it is mistyped, or the name of another way of sharing.",
        fix="Write one of the resources named, each after the pool that has it; a GPU of another pool takes a quota in the tenant's record.",
        severity=Severity.ERROR,
        family=Family.GPUS,
        check=_THERE,
    ),
    ResourceRule(
        id="LH-G-002",
        title="Shares of GPUs and whole GPUs go to what the tenant has them for",
        reason="A notebook that idles on a whole GPU keeps training off it, and training on a turn of a GPU shares its memory with strangers.",
        fix=f"Ask for one of the resources named, or label the pod {labels.USE} with what it is for; gpu_use of the tenant's record says who gets what.",
        severity=Severity.ERROR,
        family=Family.GPUS,
        check=_FOR,
    ),
    ResourceRule(
        id="LH-G-003",
        title="A pod asks for one kind of GPU, as much as it is limited to",
        reason="No node has two kinds, so such a pod is never placed; and GPUs are not lent beyond what was asked for.",
        fix="Name one kind of GPU in resources.limits, and in requests the same amount or nothing.",
        severity=Severity.ERROR,
        family=Family.GPUS,
        references=("Kubernetes, Schedule GPUs",),
        check=_ONE_KIND,
    ),
    ResourceRule(
        id="LH-G-004",
        title="Only what asks for a GPU goes where GPUs are",
        reason="Other work takes the cores and memory that belong to a node's GPUs, which then stand idle.",
        fix="Take the toleration away, or ask for a GPU: work that does gets the toleration with its queue's admission.",
        severity=Severity.ERROR,
        family=Family.GPUS,
        check=_KEPT_FREE,
    ),
    ResourceRule(
        id="LH-G-005",
        title="Only what asks for a GPU waits in the queue for GPUs",
        reason="That queue leads to GPU nodes: work without a GPU would take their cores and memory.",
        fix=f"Take the label away, or write {names.DEFAULT_QUEUE}.",
        severity=Severity.ERROR,
        family=Family.GPUS,
        check=_WITH_A_GPU,
    ),
)
