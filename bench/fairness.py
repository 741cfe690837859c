"""What became of tenants' jobs, as arithmetic: who held how many GPUs for how long while all wanted more, and whether that is what was promised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

TOLERANCE: Final = 0.05
"""How far a tenant's share may be from what it is entitled to, as a part of that."""
MOST_IDLE: Final = 0.05
"""How much of the GPUs' time the queues may leave ungiven while work waits."""
LEAST_ROUNDS: Final = 3.0
"""For how many times a job's run time all tenants have to have been waiting, so that their shares tell anything."""
_BUSIEST_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Sighting:
    """One object at one time: a pod, or what a queue knows a job by."""

    at: float
    """By a clock that only goes forward, in seconds."""
    name: str
    """The object's own, of which there is one only."""
    tenant: str
    job: str
    holds: bool
    """Whether GPUs are its own now."""
    done: bool
    """Whether it has ended well."""


@dataclass(frozen=True)
class Span:
    """Some of a job's GPUs, from when they were its own until they were not."""

    tenant: str
    job: str
    gpus: int
    begun: float
    ended: float
    done: bool
    """Whether they were let go because the work was done, and not taken away."""

    @property
    def gpu_seconds(self) -> float:
        return self.gpus * (self.ended - self.begun)


@dataclass(frozen=True)
class Window:
    """A stretch of time."""

    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        return max(0.0, self.ended - self.begun)

    def of(self, span: Span) -> float:
        """GPU-seconds of the span within."""
        return span.gpus * max(0.0, min(span.ended, self.ended) - max(span.begun, self.begun))


def spans(seen: Iterable[Sighting], gpus: int) -> list[Span]:
    """From sightings in their order, of objects with so many GPUs each, when GPUs were held. What holds some at the last sighting is left out."""
    held: dict[str, float] = {}
    found = []
    for each in seen:
        if each.holds:
            held.setdefault(each.name, each.at)
        elif (begun := held.pop(each.name, None)) is not None:
            found.append(Span(each.tenant, each.job, gpus, begun, each.at, each.done))
    return found


def first_begun(held: Iterable[Span]) -> dict[str, float]:
    """When each job first had any GPUs."""
    found: dict[str, float] = {}
    for span in held:
        found[span.job] = min(span.begun, found.get(span.job, span.begun))
    return found


def contended(held: Sequence[Span], submitted: Mapping[str, float], settling: float) -> Window:
    """From so long after the last job was submitted until a tenant has none left that never began: in it, every tenant wants more than it has.

    ``settling`` is how long those who came first may take to give back what was not theirs.
    """
    began = first_begun(held)
    last: dict[str, float] = {}
    for span in held:
        last[span.tenant] = max(began[span.job], last.get(span.tenant, 0.0))
    return Window(max(submitted.values()) + settling, min(last.values()))


def crowded(held: Sequence[Span], submitted: Mapping[str, float]) -> Window:
    """From when the last job was submitted until each has begun: in it, whatever is free is wanted by somebody."""
    return Window(max(submitted.values()), max(first_begun(held).values()))


def shares(held: Iterable[Span], window: Window) -> dict[str, float]:
    """Each tenant's part of all GPU-seconds that were held."""
    found: dict[str, float] = {}
    for span in held:
        found[span.tenant] = found.get(span.tenant, 0.0) + window.of(span)
    whole = sum(found.values())
    return {tenant: part / whole for tenant, part in found.items()} if whole else {}


def entitled(quotas: Mapping[str, int], weights: Mapping[str, int], gpus: int) -> dict[str, float]:
    """Each tenant's part of so many GPUs when all want more: its quota, and of what is nobody's quota as much as its weight is of all weights."""
    rest, all_weights = gpus - sum(quotas.values()), sum(weights.values())
    return {tenant: (quota + rest * weights[tenant] / all_weights) / gpus for tenant, quota in quotas.items()}


def idle(held: Iterable[Span], window: Window, gpus: int) -> float:
    """The part of the GPUs' time that nobody held."""
    return 1 - sum(map(window.of, held)) / (gpus * window.seconds) if window.seconds else 0.0


def between_jobs(held: Sequence[Span], window: Window, gpus: int) -> float:
    """For how many seconds a GPU stood empty between two jobs, on average."""
    given = sum(span.gpus for span in held if window.begun <= span.begun < window.ended)
    return idle(held, window, gpus) * gpus * window.seconds / given if given else float("inf")


def waited_for(held: Sequence[Span], window: Window, gpus: int) -> float:
    """The part of the GPUs' time in which they were held by jobs that did not have all of theirs yet."""
    whole: dict[str, float] = {}
    for span in held:
        whole[span.job] = max(span.begun, whole.get(span.job, span.begun))
    early = (
        Span(span.tenant, span.job, span.gpus, span.begun, min(span.ended, whole[span.job]), span.done)
        for span in held
    )
    return sum(map(window.of, early)) / (gpus * window.seconds) if window.seconds else 0.0


def lost(held: Sequence[Span]) -> tuple[int, float]:
    """How often GPUs were taken from a job that was not done, and their part of all GPU-seconds."""
    taken = [span for span in held if not span.done]
    return len(taken), sum(span.gpu_seconds for span in taken) / sum(span.gpu_seconds for span in held)


def busiest(times: Iterable[float]) -> float:
    """How many a second, in the ten seconds in which there were most."""
    ordered = sorted(times)
    most = begin = 0
    for end, at in enumerate(ordered):
        while at - ordered[begin] >= _BUSIEST_SECONDS:
            begin += 1
        most = max(most, end - begin + 1)
    return most / _BUSIEST_SECONDS


def centile(values: Iterable[float], of_100: int) -> float:
    """What so many of a hundred values are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * of_100 // 100, len(ordered) - 1)]


def faults(wanted: Mapping[str, float], had: Mapping[str, float], ungiven: float, rounds: float) -> list[str]:
    """What was promised and did not come true, in words; empty when all of it did.

    ``ungiven`` is the part of the GPUs' time that the queues gave to nobody while work waited, ``rounds`` for how many times a job's run time all
    tenants were waiting.
    """
    if rounds < LEAST_ROUNDS:
        return [
            f"all tenants were waiting for {rounds:.1f} times a job's run time only, which tells nothing of their shares: give more jobs"
        ]
    found = [
        f"{tenant} had {had.get(tenant, 0.0):.2%} of the GPUs' time while all waited, and is entitled to {part:.2%}: "
        f"off by {abs(had.get(tenant, 0.0) / part - 1):.0%}, where {TOLERANCE:.0%} may be"
        for tenant, part in wanted.items()
        if abs(had.get(tenant, 0.0) / part - 1) > TOLERANCE
    ]
    if ungiven > MOST_IDLE:
        found.append(
            f"work waited while GPUs idled: for {ungiven:.1%} of the GPUs' time the queues gave them to nobody, where {MOST_IDLE:.0%} may be"
        )
    return found
