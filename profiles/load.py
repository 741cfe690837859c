"""From files to one typed profile: read, follow `extends`, merge, add the tenants, check, build, judge.

Every step collects what is wrong and goes on, so that one run names everything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modules.foundation.tenants.config import Tenant
from modules.kit.names import DNS_LABEL_PATTERN
from profiles import rules, source
from profiles.model import BASE, Profile
from profiles.problems import MISSING, Key, Problem, ProfileError, dotted, nearest
from profiles.schema import Schema, resolve, whole
from profiles.source import Leaf, Mapping, Origin, Tree
from profiles.structure import Checked, about_name, build, check

DIRECTORY: Final = Path(os.environ.get("LONGHOUSE_PROFILES") or Path(__file__).parent)
"""Where profiles are: the shipped ones, unless ``LONGHOUSE_PROFILES`` names a folder of one's own."""

TENANTS: Final = "tenants"


def load(name: str, directory: Path = DIRECTORY) -> Profile:
    """The profile of that name, with all that it extends and with its tenants.

    Raises ProfileError, which holds everything that is wrong with it.
    """
    return _Loader(directory).load(name)


def names(directory: Path = DIRECTORY) -> tuple[str, ...]:
    """Profiles that can be deployed, in alphabetical order: all but the base."""
    return tuple(sorted(file.stem for file in directory.glob("*.yaml") if file.stem != BASE))


def origins(name: str, directory: Path = DIRECTORY) -> dict[Key, Origin]:
    """Where each key of the profile was set, for those that stand in a file; the others are defaults. Raises ProfileError."""
    loader = _Loader(directory)
    loader.load(name)

    def below(key: Key, tree: Tree) -> Iterator[tuple[Key, Origin]]:
        yield key, tree.origin
        for part, child in source.children(tree):
            yield from below((*key, part), child)

    return dict(below((), loader.tree))


@dataclass
class _Loader:
    directory: Path
    problems: list[Problem] = field(default_factory=list)
    tree: Tree = field(default_factory=lambda: Mapping({}, Origin(Path(), 1)))
    damaged: set[Key] = field(default_factory=set)
    """Keys of which the file says something else than what is judged."""

    partial: bool = False
    """Whether some file that the profile extends could not be read, so that nobody knows what it lacks."""

    def load(self, name: str) -> Profile:
        merged = self.with_bases(name)
        if merged is None:
            raise ProfileError(name, self.problems)
        tenants = merged.entries.get(TENANTS)
        root = Mapping({key: tree for key, tree in merged.entries.items() if key != TENANTS}, merged.origin)
        shared = source.pruned(root)
        records: dict[str, Tree] = {}
        checks: dict[str, Checked] = {}
        if isinstance(tenants, Mapping):
            for tenant, record in self.tenants(tenants):
                records[tenant] = record
                checks[tenant] = self.checked_tenant(tenant, record)
        elif tenants is not None and not (isinstance(tenants, Leaf) and tenants.takes_away):
            self.problem(
                tenants,
                (TENANTS,),
                source.plain(tenants),
                "must be a mapping of names",
                "write tenants: {atlas: {}}",
            )
        assert isinstance(shared, Mapping)
        where = tenants.origin if tenants else merged.origin
        self.tree = Mapping({**shared.entries, TENANTS: Mapping(records, where)}, merged.origin)

        whole_profile = check(source.plain(shared), Profile, shared, partial=self.partial)
        for tenant, checked in checks.items():
            whole_profile.sound &= checked.sound
            whole_profile.problems += checked.problems
            whole_profile.damaged |= {(TENANTS, tenant, *key) for key in checked.damaged}
        whole_profile.data[TENANTS] = {tenant: checked.data for tenant, checked in checks.items()}

        profile = build(whole_profile, Profile, self.tree, lambda data: _filled(name, data))
        self.problems += whole_profile.problems
        if profile is not None:
            self.judge(profile, whole_profile.damaged | self.damaged)
        if self.problems or profile is None:
            raise ProfileError(name, self.in_order())
        return profile

    def problem(self, tree: Tree, key: Key, value: object, message: str, remedy: str) -> None:
        self.problems.append(Problem(tree.origin.file, tree.origin.line, dotted(key), value, message, remedy))

    def with_bases(self, name: str) -> Mapping | None:
        """The profile's own keys over those of all that it extends; None when it is not there."""
        layers: list[Mapping] = []
        seen = [name]
        asked: Tree = Leaf(name, Origin(self.directory / f"{name}.yaml", 1))
        while True:
            file = self.directory / f"{seen[-1]}.yaml"
            if not re.fullmatch(DNS_LABEL_PATTERN, seen[-1]) or len(seen[-1]) > 63 or not file.is_file():
                self.no_such_profile(seen[-1], asked, MISSING if len(seen) == 1 else seen[-1])
                self.partial = True
                break
            layer, found = source.read(file)
            self.problems += found
            if layer is None:
                self.partial = True
                break
            layers.append(layer)
            parent = layer.entries.get("extends")
            if parent is None:
                break
            self.partial = True
            if not isinstance(parent, Leaf) or not isinstance(parent.value, str):
                self.problem(
                    parent,
                    ("extends",),
                    source.plain(parent),
                    "must be the name of one profile",
                    "write extends: base",
                )
                break
            if parent.value in seen:
                chain = " → ".join([*seen, parent.value])
                self.problem(
                    parent,
                    ("extends",),
                    parent.value,
                    f"goes in a circle: {chain}",
                    "let one of them extend base",
                )
                break
            seen.append(parent.value)
            asked = parent
            self.partial = False
        if not layers:
            return None
        merged: Tree = layers[-1]
        for layer in reversed(layers[:-1]):
            merged = source.merge(merged, layer)
        assert isinstance(merged, Mapping)
        own = {key: tree for key, tree in merged.entries.items() if key != "extends"}
        return Mapping(own, layers[0].origin)

    def no_such_profile(self, name: str, asked: Tree, value: object) -> None:
        there = sorted(file.stem for file in self.directory.glob("*.yaml"))
        meant = nearest(name, there)
        listed = f"there are: {', '.join(there)}"
        remedy = f"did you mean {meant}? ({listed})" if meant else listed
        key: Key = ("extends",) if value is not MISSING else ()
        self.problem(asked, key, value, f"there is no profile {name[:80]}", remedy)

    def tenants(self, wanted: Mapping) -> Iterator[tuple[str, Tree]]:
        """Each tenant's own record with this environment's differences, without those that were taken away."""
        folder = self.directory / TENANTS
        files = sorted(file for ending in ("*.yaml", "*.yml") for file in folder.glob(ending))
        for name, differences in wanted.entries.items():
            key: Key = (TENANTS, name)
            if isinstance(differences, Leaf) and differences.takes_away:
                continue
            message = _name_fault(name, wanted.entries)
            if message:
                self.problem(differences, key, MISSING, *message)
                continue
            mine = [file for file in files if file.stem.lower() == name]
            for other in (
                mine[1:] if len(mine) > 1 else [file for file in mine if file.name != f"{name}.yaml"]
            ):
                first = Origin(other, 1)
                if len(mine) > 1:
                    text = f"has two files, {mine[0].name} and {other.name}"
                else:
                    text = f"has a file with another name, {other.name}"
                self.problem(Leaf(None, first), key, MISSING, text, f"keep one, named {name}.yaml")
            if not mine:
                if isinstance(differences, Mapping) and {"owner", "quota"} <= set(differences.entries):
                    yield name, source.pruned(differences)
                    continue
                there = [file.stem for file in files]
                meant = nearest(name, there)
                remedy = f"add tenants/{name}.yaml; there are: {', '.join(there)}"
                self.problem(
                    differences,
                    key,
                    MISSING,
                    "is a tenant without a file",
                    f"did you mean {meant}? or {remedy}" if meant else remedy,
                )
                continue
            record = self.tenant_of(name, mine[0], differences)
            if record is not None:
                yield name, record

    def tenant_of(self, name: str, file: Path, differences: Tree) -> Tree | None:
        """The tenant's own record with the differences; None when one of them cannot be used at all."""
        key: Key = (TENANTS, name)
        own, found = source.read(file, key)
        self.problems += found
        if own is None:
            return None
        if not isinstance(differences, Mapping):
            value = source.plain(differences)
            message = "must be a mapping of this environment's differences"
            remedy = "write {} for none; null only takes an inherited tenant away"
            self.problem(differences, key, value, message, remedy)
            return None
        if not differences.entries:
            return own
        alone = check(source.plain(own), Tenant, own, key)
        self.problems += alone.problems
        self.damaged |= {key + damaged for damaged in alone.damaged}
        return source.pruned(source.merge(own, differences))

    def checked_tenant(self, name: str, record: Tree) -> Checked:
        data = source.plain(record)
        return check(data, Tenant, record, (TENANTS, name))

    def judge(self, profile: Profile, damaged: set[Key]) -> None:
        """Add what the rules find, unless it hangs on a value that is wrong anyway."""
        for rule in rules.RULES:
            for finding in rule(profile):
                if any(_touches(key, fault) for key in (finding.key, *finding.involves) for fault in damaged):
                    continue
                origin = source.origin_of(self.tree, finding.key)
                value = _value_at(self.tree, finding.key)
                text = dotted(finding.key)
                self.problems.append(
                    Problem(
                        origin.file, origin.line, text, value, finding.message, finding.remedy, rule.__name__
                    )
                )

    def in_order(self) -> Iterable[Problem]:
        """Without repetition, by file and line: the profile's own first, then those that it extends, then tenants."""
        unique: dict[tuple[object, ...], Problem] = {}
        for problem in self.problems:
            unique.setdefault((problem.file, problem.line, problem.key, problem.message), problem)
        return sorted(unique.values(), key=lambda each: (str(each.file), each.line))


def _filled(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """With the names that are keys or file names."""
    named = {
        section: {key: {**record, "name": key} for key, record in data[section].items()}
        for section in ("node_pools", TENANTS)
    }
    return {**data, **named, "name": name}


def _name_fault(name: str, others: Iterable[str]) -> tuple[str, str] | None:
    schema = _tenant_names()
    if re.fullmatch(schema["pattern"], name) and len(name) <= schema["maxLength"]:
        return None
    twin = next((other for other in others if other != name and other.lower() == name.lower()), None)
    if twin is not None:
        return f"is the tenant {twin} again, in other letters", "keep one of the two"
    return about_name(name, schema)


def _tenant_names() -> Schema:
    root = whole(Profile)
    names_: Schema = resolve(root["properties"][TENANTS], root)["propertyNames"]
    return names_


def _touches(key: Key, fault: Key) -> bool:
    """Whether one of the two lies on the way to the other."""
    length = min(len(key), len(fault))
    return key[:length] == fault[:length]


def _value_at(tree: Tree, key: Key) -> object:
    for part in key:
        child = dict(source.children(tree)).get(part)
        if child is None:
            return MISSING
        tree = child
    return source.plain(tree) if isinstance(tree, Leaf) else MISSING
