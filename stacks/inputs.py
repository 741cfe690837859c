"""What a stack is made from, as one hash. Where it is that of the stack's last deployment, another would change nothing.

`pulumi up` compares what the program declares with what the state holds; it does not look at the cluster. What the program declares follows from the code, its pins, the
stack's configuration and, of the profile, what concerns the part that the stack stands for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from modules.kit.parts import StackName
from profiles.load import load
from profiles.model import Profile

_ROOMS: Final = ("modules", "policies", "profiles", "stacks", "upstream")
_PINS: Final = ("Pulumi.yaml", "images.lock", "requirements.lock")

TENANTS_OWN: Final = frozenset(
    {
        "budget",
        "burst",
        "data_class",
        "defaults",
        "flink",
        "gpu_use",
        "groups",
        "network",
        "owner",
        "spark",
        "training",
    }
)
"""Keys of a tenant's record that only the stack reads that its own objects are in."""

profile_of: Final = cache(load)
"""The profile of a name, as a process found it first: a thousand tenants are read once, not once by the command and once by each stack's program."""


@dataclass(frozen=True)
class Inputs:
    """What the stacks of one environment are made from."""

    profile: Profile
    checkout: Path

    def of(self, stack: StackName) -> str:
        """The stack's, as 64 hexadecimal digits."""
        # A group's own is made from it.
        configured = self.checkout / "stacks" / f"Pulumi.{stack.platform}.yaml"
        found = hashlib.sha256(self._code)
        found.update(configured.read_bytes() if configured.exists() else b"")
        found.update(json.dumps([str(stack), self._seen(stack)], sort_keys=True).encode())
        return found.hexdigest()

    def _seen(self, stack: StackName) -> Mapping[str, Any]:
        """The profile without what does not concern the stack."""
        part, tenants = self.profile.part(stack.group), self._whole["tenants"]
        own = {name: tenants[name] for name in sorted(part.tenants)}
        others = {
            name: {key: value for key, value in tenants[name].items() if key not in TENANTS_OWN}
            for name in sorted(tenants.keys() - part.tenants)
        }
        return {**self._whole, "tenants": [own, others if part.shared else {}]}

    @cached_property
    def _whole(self) -> Mapping[str, Any]:
        return self.profile.model_dump(mode="json")

    @cached_property
    def _code(self) -> bytes:
        found = hashlib.sha256()
        for path in self._files():
            found.update(f"{path.relative_to(self.checkout)} {path.stat().st_size}\n".encode())
            found.update(path.read_bytes())
        return found.digest()

    def _files(self) -> Iterator[Path]:
        """Code and pins. Profiles and stacks' configurations are looked at by what they say."""
        for room in _ROOMS:
            for path in sorted((self.checkout / room).rglob("*")):
                data = room in ("profiles", "stacks") and path.suffix == ".yaml"
                if path.is_file() and "__pycache__" not in path.parts and not data:
                    yield path
        yield from (self.checkout / each for each in _PINS)
