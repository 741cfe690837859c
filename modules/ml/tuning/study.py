"""A study as its owner writes it: what to look for, where, and the program to try it with. The same whichever engine runs it.

What must hold between its fields, and of the environment that it goes to, is `profiles/study.py`'s to judge.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from modules.kit.model import FrozenMap, Model
from modules.kit.names import DNS_LABEL_PATTERN, DnsLabel, TenantName
from modules.kit.quantities import Cpu, Memory

NAME_AT_MOST: Final = 40
"""Characters of a study's name: what Katib takes; `<name>-<number of a trial>` is a Job's."""

StudyName = Annotated[
    str,
    Field(
        pattern=DNS_LABEL_PATTERN,
        min_length=1,
        max_length=NAME_AT_MOST,
        json_schema_extra={"format": "dns-label"},
    ),
]
"""Name of a study."""

ParameterName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]*$", min_length=1, max_length=40, json_schema_extra={"examples": ["rate"]}
    ),
]
"""Name of a parameter, as it stands in braces."""

MetricName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=60, json_schema_extra={"examples": ["loss"]}),
]
"""Name of a number that a trial prints."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=100)]
"""Name of an environment variable."""

ImageName = Annotated[str, Field(pattern=r"^\S+$", min_length=1, max_length=400)]
"""Reference of an image."""


class Direction(StrEnum):
    """Which values of the metric are better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Algorithm(StrEnum):
    """How the next trial's parameters are chosen."""

    RANDOM = "random"
    TPE = "tpe"
    CMA_ES = "cma-es"
    GRID = "grid"


class Store(StrEnum):
    """A store of the tenant, by the name of its binding."""

    CASSANDRA = "cassandra"
    HDFS = "hdfs"
    KAFKA = "kafka"
    MYSQL = "mysql"
    OBJECT_STORE = "object-store"


class Objective(Model):
    """What is looked for."""

    metric: MetricName
    """Number that a trial prints as `<metric>=<number>`; the last one that it prints counts."""

    direction: Direction
    """Whether less or more of it is better."""


class FloatParameter(Model):
    """A number."""

    type: Literal["float"]
    """A number."""

    low: float
    """The least value."""

    high: float
    """The greatest value."""

    log: bool = False
    """Whether values are as dense between 1 and 10 as between 10 and 100, which is right for rates."""

    step: Annotated[float, Field(ge=1e-9)] | None = None
    """Distance of values from `low` on; null for none."""


class IntParameter(Model):
    """A whole number."""

    type: Literal["int"]
    """A whole number."""

    low: int
    """The least value."""

    high: int
    """The greatest value."""

    log: bool = False
    """Whether values are as dense between 1 and 10 as between 10 and 100."""

    step: Annotated[int, Field(ge=1)] = 1
    """Distance of values from `low` on."""


class CategoricalParameter(Model):
    """One of several texts."""

    type: Literal["categorical"]
    """One of several texts."""

    choices: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(min_length=2, max_length=100)
    ]
    """What may be chosen."""


Parameter = Annotated[FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")]


class Trial(Model):
    """The program that is tried, once for each choice of parameters. `{rate}` in its command and its environment stands for the parameter `rate`."""

    image: ImageName | None = None
    """Image that it runs in; null for the platform's own for training."""

    command: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    """Program and its arguments."""

    environment: FrozenMap[VariableName, str] = Field(default_factory=dict)
    """Environment variables."""

    cpu: Cpu = "250m"
    """Cores, asked for and never exceeded."""

    memory: Memory = "512Mi"
    """Memory, all that it gets."""

    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """Whole GPUs; with any, it waits in the tenant's queue `gpu`."""

    priority: DnsLabel | None = None
    """Priority class of the queues; null for none."""

    stores: tuple[Store, ...] = ()
    """Stores of the tenant whose bindings it finds below `/bindings`."""

    minutes: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How long one may run; one that takes longer has failed. Null for as long as it likes."""


class Study(Model):
    """A search for the parameters with which a program does best."""

    name: StudyName
    """Name of the study, and of what runs it. A study of the same name goes on where that one was."""

    tenant: TenantName
    """Whose study it is."""

    objective: Objective
    """What is looked for."""

    parameters: Annotated[FrozenMap[ParameterName, Parameter], Field(min_length=1, max_length=50)]
    """Where it is looked for: parameters by name."""

    algorithm: Algorithm = Algorithm.TPE
    """How the next trial's parameters are chosen: `random`; `tpe`, from what did well so far, the usual choice; `cma-es`, for two or more numbers that depend on each other; `grid`, every combination once."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """What chance is drawn from; null for something else each time."""

    max_trials: Annotated[int, Field(ge=1, le=10_000)]
    """Trials after which it ends. One that was killed is tried again and counts once."""

    parallel_trials: Annotated[int, Field(ge=1, le=1000)] = 1
    """Trials at the same time, where the queue has room for them."""

    max_failed: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Trials that failed or were killed at which it is given up."""

    trial: Trial
    """The program that is tried."""
