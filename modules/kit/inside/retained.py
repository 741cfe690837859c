"""What a store keeps of tenants that are gone, written where people can list it: the ConfigMap ``retained`` of its namespace.

The ConfigMap is declared empty; this program's account may change it and nothing else. Its data is one line per thing kept:
the name of the thing, and who it belonged to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modules.kit.inside.api_server import ApiServer

NAME: Final = "retained"


def report(kept: Mapping[str, str], server: ApiServer | None = None) -> None:
    """Replace the list by ``kept``: thing (letters, digits, ``-``, ``_``, ``.``) to a sentence on it.

    Raises OSError when the API server refuses.
    """
    server = server or ApiServer()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": dict(kept)}
    server.apply(f"/api/v1/namespaces/{server.namespace}/configmaps/{NAME}", body)
