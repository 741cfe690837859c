"""What all tests share: an engine that records every declaration instead of making it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import callback_pb2

PROJECT = "longhouse"
STACK = "unit"

Transform = Callable[[pulumi.ResourceTransformArgs], pulumi.ResourceTransformResult | None]


class Fields(Mapping[str, Any]):
    """An object's fields as the API names them, readable as attributes: ``quota.spec.hard["pods"]``.

    A field that is absent reads as None, so a test can assert absence.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return _fields(self._values[key])

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return _fields(self._values.get(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


def _fields(value: Any) -> Any:
    if isinstance(value, dict):
        return Fields(value)
    if isinstance(value, list):
        return [_fields(item) for item in value]
    return value


@dataclass(frozen=True)
class Declared:
    """One resource as the program registered it."""

    type: str
    """Type token, such as ``kubernetes:core/v1:Namespace``."""
    name: str
    """Name in the program, not in the cluster."""
    inputs: Fields
    secrets: frozenset[str]
    """Top-level inputs that the program marked secret."""
    urn: str
    parent: str
    """URN of the parent; empty for none."""
    dependencies: frozenset[str]
    """URNs that it was declared to depend on, directly or through an input."""
    provider: str
    protect: bool
    retain_on_delete: bool
    deleted_with: str
    """URN of the resource whose deletion takes this one along; empty for none."""
    transforms: tuple[Transform, ...]
    """Functions that the engine calls with each child before it is registered; this engine does not call
    them."""

    @property
    def metadata(self) -> Fields:
        return Fields(self.inputs["metadata"])

    @property
    def spec(self) -> Fields:
        return Fields(self.inputs["spec"])

    @property
    def object_name(self) -> str:
        """Name in the cluster."""
        return str(self.metadata["name"])


@dataclass
class Recording(mocks.Mocks):
    """Everything that one program declared, in the order of registration."""

    resources: list[Declared] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    transforms: list[Transform] = field(default_factory=list)
    """Of everything that the program declares; this engine does not call them."""

    def register_transform(self, transform: pulumi.ResourceTransform) -> None:
        self.transforms.append(cast(Transform, transform))

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = {key: rpc.unwrap_rpc_secret(value) for key, value in args.inputs.items()}
        if args.typ == "kubernetes:helm.sh/v4:Chart":
            outputs["resources"] = []
        return (f"{args.name}-id" if args.custom else None), outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        self.calls.append(args.token)
        return {}, None

    def of(self, type_token: str) -> list[Declared]:
        """All resources of a type; the token may leave out its package, as in ``core/v1:Namespace``."""
        return [r for r in self.resources if r.type in (type_token, f"kubernetes:{type_token}")]

    def one(self, type_token: str, name: str | None = None) -> Declared:
        """The only resource of a type, or the only one with that name in the cluster."""
        found = [r for r in self.of(type_token) if name is None or r.object_name == name]
        assert len(found) == 1, (
            f"{len(found)} {type_token} {name or ''}: {[r.name for r in self.of(type_token)]}"
        )
        return found[0]

    def named(self, type_token: str) -> dict[str, Declared]:
        """Resources of a type by their name in the cluster."""
        return {r.object_name: r for r in self.of(type_token)}

    @property
    def objects(self) -> list[Declared]:
        """Every Kubernetes object, without components and providers."""
        return [
            r
            for r in self.resources
            if r.type.startswith("kubernetes:") and not r.type.endswith((":Chart", ":ConfigGroup"))
        ]


class _Callbacks:
    """Stands for Pulumi's callback server, so that a program with transforms runs without an engine."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.transforms: dict[str, Transform] = {}

    def register_transform(self, transform: Transform) -> callback_pb2.Callback:
        """Give a child's transform the token by which the engine would call it."""
        token = str(len(self.transforms))
        self.transforms[token] = transform
        return callback_pb2.Callback(token=token, target="recorded")

    def register_stack_transform(self, transform: Transform) -> None:
        """The same for a transform of everything that the program declares."""
        self.recording.register_transform(transform)


class _Monitor(mocks.MockMonitor):
    """Records what Pulumi's own mocks do not hand on: dependencies, parents, protection."""

    def __init__(self, recording: Recording, callbacks: _Callbacks) -> None:
        super().__init__(recording)
        self.recording, self.callbacks = recording, callbacks

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object)
            self.recording.resources.append(
                Declared(
                    type=request.type,
                    name=request.name,
                    inputs=Fields({key: rpc.unwrap_rpc_secret(value) for key, value in inputs.items()}),
                    secrets=frozenset(key for key, value in inputs.items() if rpc.is_rpc_secret(value)),
                    urn=answer.urn,
                    parent=request.parent,
                    dependencies=frozenset(request.dependencies),
                    provider=request.provider,
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    deleted_with=request.deletedWith,
                    transforms=tuple(
                        self.callbacks.transforms[callback.token] for callback in request.transforms
                    ),
                )
            )
        return answer


def record(program: Callable[[], object]) -> Recording:
    """Run a program against an engine that makes nothing, until all its registrations have drained."""
    recording = Recording()
    callbacks = _Callbacks(recording)
    monitor = _Monitor(recording, callbacks)
    mocks.set_mocks(recording, project=PROJECT, stack=STACK, preview=False, monitor=monitor)
    settings.SETTINGS.callbacks = callbacks

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> None:
        program()

    run()
    return recording


@pytest.fixture
def recorded() -> Callable[[Callable[[], object]], Recording]:
    """``recorded(program)`` gives what the program declared."""
    return record
