"""Where artifacts are, as MLflow and the way to the buckets are told."""

from __future__ import annotations

from typing import Final

SCHEME: Final = "tenants"
DESTINATION: Final = f"{SCHEME}:///"
"""What MLflow is told that artifacts are kept at: it names no bucket."""

PREFIX: Final = "LONGHOUSE_BUCKET_PREFIX"
"""Variable with the first part of each bucket's name, before the tenant's."""

FOLDER: Final = "LONGHOUSE_FOLDER"
"""Variable with the folder of each bucket."""
