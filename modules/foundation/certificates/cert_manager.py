"""How cert-manager is run: values of its chart (`deploy/charts/cert-manager` of its module)."""

from __future__ import annotations

from typing import Any, Final

PART: Final = "cert-manager"
"""Name of the pin in upstream/."""

CHART: Final = "deploy/charts/cert-manager"
RELEASE: Final = "cert-manager"
NAMESPACE: Final = "cert-manager"
WEBHOOK_PORT: Final = 10250

_RESOURCES: Final = {
    "requests": {"cpu": "20m", "memory": "64Mi"},
    "limits": {"cpu": "500m", "memory": "256Mi"},
}


def values(version: str) -> dict[str, Any]:
    """Values of the chart for programs of that version (a tag of upstream's images).

    The chart in the module is the release's before it got its number, so each image is told its tag. Its
    own check after installation is left out: the ClusterIssuer, which its webhook has to admit, is one.
    CRDs are never left behind by a keep policy: what the stack declared goes with it.
    """
    image = {"tag": version}
    component = {"image": image, "resources": _RESOURCES}
    return {
        "crds": {"enabled": True, "keep": False},
        "global": {"leaderElection": {"namespace": NAMESPACE}},
        **component,
        "webhook": component,
        "cainjector": component,
        "acmesolver": {"image": image},
        "startupapicheck": {"enabled": False},
    }
