"""What a store keeps of tenants that are gone, written where people can list it: the ConfigMap ``retained`` of its namespace.

The ConfigMap is declared empty; this program's account may change it and nothing else. Its data is one line per thing kept:
the name of the thing, and who it belonged to.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NAME: Final = "retained"
MANAGER: Final = "longhouse-access"
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_API_SERVER: Final = "https://kubernetes.default.svc"


def report(kept: Mapping[str, str], account: Path = ACCOUNT, api_server: str = _API_SERVER) -> None:
    """Replace the list by ``kept``: thing (letters, digits, ``-``, ``_``, ``.``) to a sentence on it.

    Server-side apply, so that what is no longer kept is taken off. Raises OSError when the API server refuses.
    """
    namespace = (account / "namespace").read_text()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": dict(kept)}
    request = urllib.request.Request(
        f"{api_server}/api/v1/namespaces/{namespace}/configmaps/{NAME}?fieldManager={MANAGER}&force=true",
        method="PATCH",
        data=json.dumps(body).encode(),  # JSON is YAML
        headers={
            "Authorization": f"Bearer {(account / 'token').read_text()}",
            "Content-Type": "application/apply-patch+yaml",
        },
    )
    trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
    urllib.request.urlopen(request, context=trust, timeout=30).close()
