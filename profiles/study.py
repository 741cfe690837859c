"""Study files: read, checked by the schema of studies, and judged by what their fields mean together and by the profile that they go to."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from modules.foundation.gpu_pools import placement
from modules.foundation.tenants import limits
from modules.foundation.tenants.config import Tenant
from modules.kit import quantities
from modules.ml.tuning.config import Engine
from modules.ml.tuning.inside.plan import placeholders
from modules.ml.tuning.study import Algorithm, CategoricalParameter, Store, Study
from profiles.model import Profile
from profiles.problems import MISSING, Key, Problem, ProfileError, dotted, nearest
from profiles.rules.finding import Finding
from profiles.source import Leaf, Tree, children, origin_of, plain, read
from profiles.structure import build, check


class StudyFileError(ProfileError):
    """A study that cannot be submitted, with everything that is wrong with it."""

    what: ClassVar = "study"


def load(file: Path, profile: Profile) -> Study:
    """The study of a file, for the profile's environment.

    Raises StudyFileError, which holds everything that is wrong with it.
    """
    tree, problems = read(file)
    if tree is None:
        raise StudyFileError(file.name, problems)
    checked = check(plain(tree), Study, tree)
    study = build(checked, Study, tree, lambda data: data)
    problems += checked.problems
    for finding in judged(study, profile) if study and not checked.damaged else ():
        origin = origin_of(tree, finding.key)
        value = _value(tree, finding.key)
        problems.append(
            Problem(origin.file, origin.line, dotted(finding.key), value, finding.message, finding.remedy)
        )
    if problems or study is None:
        raise StudyFileError(file.name, sorted(problems, key=lambda each: each.line))
    return study


def judged(study: Study, profile: Profile) -> Iterator[Finding]:
    """Everything that contradicts itself, or the environment."""
    yield from _spaces(study)
    yield from _chosen(study)
    yield from _counts(study)
    yield from _places(study)
    yield from _run(study, profile)
    tenant = profile.tenants.get(study.tenant)
    if tenant is None:
        meant = nearest(study.tenant, profile.tenants)
        there = f"profile {profile.name} has {', '.join(profile.tenants) or 'none'}"
        yield Finding(
            ("tenant",),
            f"is no tenant of profile {profile.name}",
            f"did you mean {meant}? ({there})" if meant else there,
        )
        return
    yield from _kept(study, profile, tenant)
    yield from _sized(study, profile, tenant)


def _spaces(study: Study) -> Iterator[Finding]:
    """That each parameter has values to choose from."""
    for name, each in study.parameters.items():
        key: Key = ("parameters", name)
        if isinstance(each, CategoricalParameter):
            if len(set(each.choices)) < len(each.choices):
                yield Finding((*key, "choices"), "names a choice twice", "keep one of the two")
            continue
        if each.low >= each.high:
            yield Finding(
                (*key, "high"), f"must be more than low, which is {each.low}", "write a greater one"
            )
        elif each.step and each.step > each.high - each.low:
            yield Finding((*key, "step"), "is longer than the way from low to high", "write a shorter one")
        if each.log and each.low <= 0:
            yield Finding(
                (*key, "low"),
                "must be more than 0 where log is true: 0 has no logarithm",
                "write a small number, or log: false",
            )
        if each.log and each.step not in (None, 1):
            yield Finding((*key, "step"), "makes no sense where log is true", "leave one of the two out")


def _chosen(study: Study) -> Iterator[Finding]:
    """That the algorithm knows what to do with the parameters."""
    numbers = {
        name: each for name, each in study.parameters.items() if not isinstance(each, CategoricalParameter)
    }
    if study.algorithm is Algorithm.CMA_ES and (len(numbers) < 2 or len(numbers) < len(study.parameters)):
        yield Finding(
            ("algorithm",),
            "is for two or more numbers, and for nothing else",
            "write tpe, or give it only parameters of type float and int",
        )
    for name, each in numbers.items() if study.algorithm is Algorithm.GRID else ():
        if each.log:
            yield Finding(
                ("parameters", name, "log"),
                "makes no sense in a grid, which goes in steps",
                "write it as type categorical, with the values to try",
            )
        elif each.step is None:
            yield Finding(
                ("parameters", name, "step"),
                "is missing, and a grid goes in steps",
                f"add `step:`, for example `step: {(each.high - each.low) / 4:g}`",
            )


def _counts(study: Study) -> Iterator[Finding]:
    """That there are enough trials for what is said about some of them."""
    for key, number in (("parallel_trials", study.parallel_trials), ("max_failed", study.max_failed)):
        if number > study.max_trials:
            yield Finding(
                (key,),
                f"is {number}, more than all trials (max_trials: {study.max_trials})",
                f"write {study.max_trials} or less",
            )


def _places(study: Study) -> Iterator[Finding]:
    """That every placeholder is a parameter's, and every parameter has one."""
    texts: list[tuple[Key, str]] = [
        (("trial", "command", number), text) for number, text in enumerate(study.trial.command)
    ]
    texts += [(("trial", "environment", name), text) for name, text in study.trial.environment.items()]
    for key, text in texts:
        for name in dict.fromkeys(placeholders([text])):
            if name not in study.parameters:
                meant = nearest(name, study.parameters)
                listed = f"the parameters are {', '.join(study.parameters)}"
                yield Finding(
                    key,
                    f"has a place for {name}, which is no parameter",
                    f"did you mean {{{meant}}}? ({listed})" if meant else listed,
                )
    used = set(placeholders(text for _, text in texts))
    for name in study.parameters:
        if name not in used:
            yield Finding(
                ("parameters", name),
                "is told to no trial",
                f"write {{{name}}} into trial.command or trial.environment, or take it away",
            )


def _run(study: Study, profile: Profile) -> Iterator[Finding]:
    """That the environment runs studies, and such ones."""
    if profile.tuning is None:
        yield Finding(
            (),
            f"profile {profile.name} has no tuning",
            "choose another profile, or give this one `tuning: {}`",
        )
    elif profile.tuning.engine is Engine.KATIB and study.algorithm is Algorithm.CMA_ES:
        for name, each in study.parameters.items():
            if not isinstance(each, CategoricalParameter) and each.log:
                yield Finding(
                    ("parameters", name, "log"),
                    "is not known to Katib's cma-es",
                    "write algorithm: tpe, or look for the exponent",
                )
    if study.trial.priority and study.trial.priority not in profile.queueing.priorities:
        meant = nearest(study.trial.priority, profile.queueing.priorities)
        listed = f"there are {', '.join(profile.queueing.priorities)}"
        yield Finding(
            ("trial", "priority"),
            f"is no priority of profile {profile.name}",
            f"did you mean {meant}? ({listed})" if meant else listed,
        )


def _kept(study: Study, profile: Profile, tenant: Tenant) -> Iterator[Finding]:
    """That the stores are there."""
    has = {
        Store.CASSANDRA: profile.cassandra and tenant.data.cassandra,
        Store.HDFS: profile.hdfs and tenant.data.hdfs,
        Store.KAFKA: profile.kafka and tenant.data.kafka,
        Store.MYSQL: profile.mysql and tenant.data.mysql,
        Store.OBJECT_STORE: profile.object_store and tenant.data.object_store,
    }
    if profile.tuning and profile.tuning.engine is Engine.OPTUNA and not has[Store.MYSQL]:
        yield Finding(
            ("tenant",),
            f"has no MySQL in profile {profile.name}, where studies are kept",
            "give its record data.mysql",
        )
    for number, store in enumerate(study.trial.stores):
        if not has[store]:
            here = ", ".join(each.value for each, there in has.items() if there) or "none"
            yield Finding(
                ("trial", "stores", number),
                f"is no store of tenant {study.tenant} in profile {profile.name}",
                f"take it away (it has {here}), or give its record data.{store.value.replace('-', '_')}",
            )


def _sized(study: Study, profile: Profile, tenant: Tenant) -> Iterator[Finding]:
    """That a trial can ever start."""
    pools = tuple(profile.node_pools.values())
    node = limits.largest_node(tenant, pools)
    trial, quota = study.trial, tenant.quota
    for key, asked, most, own in (
        ("cpu", trial.cpu, node.cpu, quota.cpu),
        ("memory", trial.memory, node.memory, quota.memory),
    ):
        bound, what = most, "the largest node that the tenant's queues draw from has"
        if not quota.borrow and not trial.gpus:
            bound, what = own, "the tenant's quota has, and it borrows nothing"
        if quantities.amount(asked) > quantities.amount(bound):
            yield Finding(("trial", key), f"is more than {what}: {bound}", f"write {bound} or less")
    gpus: dict[str, Decimal] = {
        pool: Decimal(count)
        for pool, count in quota.gpus.items()
        if pool in profile.node_pools
        and placement.gpu_resource(profile.node_pools[pool]) == placement.GPU_RESOURCE
    }
    if trial.gpus and not gpus:
        yield Finding(
            ("trial", "gpus"),
            "is more than the tenant has: none",
            "leave it out, or give its quota GPUs of a pool that has whole ones",
        )


def _value(tree: Tree, key: Key) -> object:
    """What stands at the key, where that is a single value."""
    for part in key:
        child = dict(children(tree)).get(part)
        if child is None:
            return MISSING
        tree = child
    return tree.value if isinstance(tree, Leaf) else MISSING
