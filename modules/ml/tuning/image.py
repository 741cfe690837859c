"""The image that drivers run in, and trials that name none: the platform's own for training, which has Optuna and MySQL's client."""

from __future__ import annotations

from typing import Final

from modules.kit import clients

TRAINING: Final = "training:1"


def image(registry: str | None = None) -> str:
    """Its reference. ``registry`` is where its owner pushed it."""
    return f"{registry or clients.REPOSITORY}/{TRAINING}"
