"""Values and conditions over an object: data that is evaluated here and printed as CEL for the API server.

Values are read from an object by path, and conditions are made of values. Conditions have three values: one over what a preview cannot
know (`UNKNOWN`) is neither true nor false, and what is not known to be allowed is forbidden. A cluster knows everything.
"""

from __future__ import annotations

import ipaddress
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modules.kit import names
from policies.resource import UNKNOWN, at, items

Scope = Mapping[str, Any]
Truth = bool | None

_FIELD: Final = re.compile(r"(?!namespace$|in$|true$|false$|null$)[A-Za-z_]\w*")
"""What CEL takes after a dot: no word of its own."""


def literal(value: str | int | bool | None) -> str:
    """A constant in CEL."""
    return json.dumps(value)


# Values


class Term(ABC):
    """A value that an object holds, or that is made of such."""

    @abstractmethod
    def value(self, scope: Scope) -> Any:
        """The value; None where there is none, `UNKNOWN` where it cannot be known."""

    @property
    @abstractmethod
    def cel(self) -> str:
        """The same in CEL; null where there is none."""

    @property
    def optional(self) -> str:
        """The value in CEL as the start of a longer path."""
        return self.cel

    def __getitem__(self, path: str | Term | tuple[str | Term, ...]) -> At:
        return At(self, path if isinstance(path, tuple) else (path,))

    def eq(self, other: str | int | bool | Term) -> Condition:
        """Whether it is equal to another value."""
        return Equal(self, other if isinstance(other, Term) else Literal(other))

    def among(self, values: Sequence[str]) -> Condition:
        """Whether it is one of those."""
        return Among(self, tuple(values))

    def has(self, value: str) -> Condition:
        """Whether it is a list with that in it."""
        return Has(self, value)

    def within(self, words: Term) -> Condition:
        """Whether it is in a list."""
        return Within(self, words)

    def ends_with(self, end: Term) -> Condition:
        """Whether it is a text that ends so."""
        return EndsWith(self, end)

    def matches(self, pattern: str) -> Condition:
        """Whether it is a text in which the pattern is found; of RE2's and Python's common syntax."""
        return Matches(self, pattern)

    def more_than(self, number: int) -> Condition:
        """Whether it is a number above that."""
        return MoreThan(self, number)

    def contains_ip(self, address: str) -> Condition:
        """Whether it is an address range with that address in it."""
        return ContainsIp(self, address)

    @property
    def present(self) -> Condition:
        """Whether there is such a value."""
        return Present(self)

    @property
    def absent(self) -> Condition:
        """Whether there is no such value."""
        return ~Present(self)

    @property
    def known(self) -> Condition:
        """Whether it is known. Where a rule has several things to say of one value, one of them speaks for what is not."""
        return Known(self)

    @property
    def filled(self) -> Condition:
        """Whether there is a text, list or record that is not empty."""
        return Filled(self)


@dataclass(frozen=True)
class Literal(Term):
    """A value that is known as the rule is written."""

    constant: str | int | bool

    def value(self, scope: Scope) -> Any:
        return self.constant

    @property
    def cel(self) -> str:
        return literal(self.constant)


@dataclass(frozen=True)
class Name(Term):
    """A variable: the object, its pod, or what a list is gone through by."""

    name: str

    def value(self, scope: Scope) -> Any:
        return scope[self.name]

    @property
    def cel(self) -> str:
        return self.name


@dataclass(frozen=True)
class At(Term):
    """What lies at a path below another value; a step of it may be a value itself, which is known."""

    base: Term
    path: tuple[str | Term, ...]

    def value(self, scope: Scope) -> Any:
        steps = (step if isinstance(step, str) else step.value(scope) for step in self.path)
        return at(self.base.value(scope), *steps)

    @property
    def optional(self) -> str:
        return self.base.optional + "".join(map(_step, self.path))

    @property
    def cel(self) -> str:
        return self.otherwise("dyn(null)")

    def otherwise(self, empty: str) -> str:
        """The value in CEL, or something else where there is none."""
        return f"{self.optional}.orValue({empty})"


def _step(key: str | Term) -> str:
    if isinstance(key, Term):
        return f"[?{key.cel}]"
    return f".?{key}" if _FIELD.fullmatch(key) else f"[?{literal(key)}]"


@dataclass(frozen=True)
class Text(Term):
    """Texts and values one after the other."""

    parts: tuple[str | Term, ...]

    def value(self, scope: Scope) -> Any:
        return "".join(each if isinstance(each, str) else _text(each.value(scope)) for each in self.parts)

    @property
    def cel(self) -> str:
        printed = (literal(each) if isinstance(each, str) else f"string({each.cel})" for each in self.parts)
        return f"({' + '.join(printed)})"


@dataclass(frozen=True)
class Variable(Name):
    """A variable that CEL has beside the object."""

    @property
    def cel(self) -> str:
        return f"variables.{self.name}"


@dataclass(frozen=True)
class From(Term):
    """A text without as many of its first letters."""

    whole: Term
    start: int

    def value(self, scope: Scope) -> Any:
        return _text(self.whole.value(scope))[self.start :]

    @property
    def cel(self) -> str:
        return f"{self.whole.cel}.substring({self.start})"


@dataclass(frozen=True)
class AfterDot(Term):
    """What follows the first dot of a text; nothing where there is none."""

    whole: Term

    def value(self, scope: Scope) -> Any:
        return _text(self.whole.value(scope)).partition(".")[2]

    @property
    def cel(self) -> str:
        dot = f"{self.whole.cel}.indexOf('.')"
        return f"({dot} < 0 ? '' : {self.whole.cel}.substring({dot} + 1))"


@dataclass(frozen=True)
class Either(Term):
    """The first value where there is one, else the second."""

    first: Term
    second: Term

    def value(self, scope: Scope) -> Any:
        found = self.first.value(scope)
        return self.second.value(scope) if found is None else found

    @property
    def cel(self) -> str:
        return f"({self.first.cel} != null ? dyn({self.first.cel}) : dyn({self.second.cel}))"


@dataclass(frozen=True)
class Words(Term):
    """The words of a text, with a space between, as a list. The text is there, or has another for where it is not (`either`)."""

    whole: Term

    def value(self, scope: Scope) -> Any:
        found = self.whole.value(scope)
        return UNKNOWN if found == UNKNOWN else _text(found).split(" ")

    @property
    def cel(self) -> str:
        return f"{self.whole.cel}.split(' ')"


@dataclass(frozen=True)
class Home(Name):
    """The namespace that the object lives in."""

    @property
    def cel(self) -> str:
        return "dyn(namespaceObject)"


def words(whole: Term) -> Words:
    """The words of a text; none where there is no text."""
    return Words(either(whole, ""))


def text(*parts: str | Term) -> Text:
    """Texts and values one after the other."""
    return Text(parts)


def either(first: Term, second: Term | str) -> Term:
    """The first value where there is one, else the second."""
    return Either(first, Literal(second) if isinstance(second, str) else second)


def _text(value: Any) -> str:
    """As CEL's `string` says it; a policy pack reads whole numbers as broken ones."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


OBJECT: Final = Name("object")
META: Final = OBJECT["metadata"]
NAMESPACE: Final = META["namespace"]
LABELS: Final = META["labels"]
SPEC: Final = OBJECT["spec"]
HOME: Final = Home("home")
"""The namespace that the object lives in, for claims that say they need it."""
SAID: Final = HOME["metadata", "annotations"]
"""What the namespace says of itself."""
POD: Final = Variable("pod")
"""The pod, or the template of one, that a claim over pods is about."""
POD_SPEC: Final = POD["spec"]
CONTAINER: Final = Name("c")
"""A container together with how messages name it, of what list it is."""
BODY: Final = CONTAINER["body"]
WHERE: Final = CONTAINER["where"]


TENANTS: Final = f"^{names.NAMESPACE_PREFIX}"
"""Pattern of the names of tenants' namespaces."""


# Conditions


class Condition(ABC):
    """Something that holds of an object or does not."""

    @abstractmethod
    def holds(self, scope: Scope) -> Truth:
        """Whether it holds; None where that cannot be known."""

    @property
    @abstractmethod
    def cel(self) -> str:
        """The same in CEL."""

    def __and__(self, other: Condition) -> Condition:
        return Every((self, other))

    def __or__(self, other: Condition) -> Condition:
        return Some((self, other))

    def __invert__(self) -> Condition:
        return Not(self)


def _all(found: Iterator[Truth]) -> Truth:
    """False as soon as one is; else None if one is not known."""
    answer: Truth = True
    for each in found:
        if each is False:
            return False
        answer = None if each is None else answer
    return answer


@dataclass(frozen=True)
class Every(Condition):
    """All of them."""

    parts: tuple[Condition, ...]

    def holds(self, scope: Scope) -> Truth:
        return _all(each.holds(scope) for each in self.parts)

    @property
    def cel(self) -> str:
        return f"({' && '.join(each.cel for each in self.parts)})"


@dataclass(frozen=True)
class Some(Condition):
    """At least one of them."""

    parts: tuple[Condition, ...]

    def holds(self, scope: Scope) -> Truth:
        return _not(_all(_not(each.holds(scope)) for each in self.parts))

    @property
    def cel(self) -> str:
        return f"({' || '.join(each.cel for each in self.parts)})"


def _not(value: Truth) -> Truth:
    return None if value is None else not value


@dataclass(frozen=True)
class Not(Condition):
    """That it does not hold."""

    part: Condition

    def holds(self, scope: Scope) -> Truth:
        return _not(self.part.holds(scope))

    @property
    def cel(self) -> str:
        return f"!{self.part.cel}"


class _Of(Condition):
    """A condition of one value, which is known or is not."""

    term: Term

    def holds(self, scope: Scope) -> Truth:
        found = self.term.value(scope)
        return None if found == UNKNOWN else self._known(found)

    @abstractmethod
    def _known(self, found: Any) -> bool: ...


@dataclass(frozen=True)
class Equal(Condition):
    """That two values are the same."""

    one: Term
    other: Term

    def holds(self, scope: Scope) -> Truth:
        found = (self.one.value(scope), self.other.value(scope))
        if any(UNKNOWN in each if isinstance(each, str) else False for each in found):
            return None
        return bool(found[0] == found[1]) and isinstance(found[0], bool) == isinstance(found[1], bool)

    @property
    def cel(self) -> str:
        return f"({self.one.cel} == {self.other.cel})"


@dataclass(frozen=True)
class Among(_Of):
    """That it is one of those."""

    term: Term
    values: tuple[str, ...]

    def _known(self, found: Any) -> bool:
        return found in self.values

    @property
    def cel(self) -> str:
        return f"({self.term.cel} in [{', '.join(map(literal, self.values))}])"


@dataclass(frozen=True)
class Has(_Of):
    """That it is a list with that in it."""

    term: Term
    wanted: str

    def _known(self, found: Any) -> bool:
        return self.wanted in items(found)

    @property
    def cel(self) -> str:
        return f"({literal(self.wanted)} in {list_of(self.term)})"


@dataclass(frozen=True)
class Within(Condition):
    """That it is in a list."""

    term: Term
    words: Term

    def holds(self, scope: Scope) -> Truth:
        found, there = self.term.value(scope), self.words.value(scope)
        return None if UNKNOWN in (found, there) else found in there

    @property
    def cel(self) -> str:
        return f"({self.term.cel} in {self.words.cel})"


@dataclass(frozen=True)
class EndsWith(Condition):
    """That it is a text that ends so."""

    term: Term
    end: Term

    def holds(self, scope: Scope) -> Truth:
        found = (self.term.value(scope), self.end.value(scope))
        if any(UNKNOWN in each for each in found if isinstance(each, str)):
            return None
        return isinstance(found[0], str) and found[0].endswith(found[1])

    @property
    def cel(self) -> str:
        return f"{self.term.cel}.endsWith({self.end.cel})"


@dataclass(frozen=True)
class Matches(_Of):
    """That it is a text in which the pattern is found."""

    term: Term
    pattern: str

    def _known(self, found: Any) -> bool:
        return isinstance(found, str) and re.search(self.pattern, found) is not None

    @property
    def cel(self) -> str:
        return f"(type({self.term.cel}) == string && {self.term.cel}.matches({literal(self.pattern)}))"


@dataclass(frozen=True)
class MoreThan(_Of):
    """That it is a number above that."""

    term: Term
    number: int

    def _known(self, found: Any) -> bool:
        return isinstance(found, (int, float)) and not isinstance(found, bool) and found > self.number

    @property
    def cel(self) -> str:
        return f"(type({self.term.cel}) == int && {self.term.cel} > {self.number})"


@dataclass(frozen=True)
class ContainsIp(_Of):
    """That it is an address range with that address in it."""

    term: Term
    address: str

    def _known(self, found: Any) -> bool:
        try:
            return ipaddress.ip_address(self.address) in ipaddress.ip_network(found, strict=False)
        except (TypeError, ValueError):
            return False

    @property
    def cel(self) -> str:
        value, address = self.term.cel, literal(self.address)
        return f"(type({value}) == string && isCIDR({value}) && cidr({value}).containsIP({address}))"


@dataclass(frozen=True)
class Present(_Of):
    """That there is such a value."""

    term: Term

    def _known(self, found: Any) -> bool:
        return found is not None

    @property
    def cel(self) -> str:
        return f"({self.term.cel} != null)"


@dataclass(frozen=True)
class Known(Condition):
    """That it is known; in a cluster everything is."""

    term: Term

    def holds(self, scope: Scope) -> Truth:
        return bool(self.term.value(scope) != UNKNOWN)

    @property
    def cel(self) -> str:
        return "true"


@dataclass(frozen=True)
class Filled(_Of):
    """That there is a text, list or record that is not empty."""

    term: Term

    def _known(self, found: Any) -> bool:
        return found is not None and len(found) > 0

    @property
    def cel(self) -> str:
        return f"({self.term.cel} != null && size({self.term.cel}) > 0)"


@dataclass(frozen=True)
class AnyOf(Condition):
    """That something holds of at least one item of a list, or of one key of a record."""

    inside: Term
    name: Name
    condition: Condition
    keys: bool = False

    def holds(self, scope: Scope) -> Truth:
        found = (
            self.condition.holds({**scope, self.name.name: key if self.keys else value})
            for key, value in pairs(self.inside.value(scope), self.keys)
        )
        return _not(_all(_not(each) for each in found))

    @property
    def cel(self) -> str:
        holder = map_of(self.inside) if self.keys else list_of(self.inside)
        return f"{holder}.exists({self.name.cel}, {self.condition.cel})"


def any_of(inside: Term, name: Name, condition: Condition) -> Condition:
    """That something holds of at least one item of a list."""
    return AnyOf(inside, name, condition)


def any_key(inside: Term, name: Name, condition: Condition) -> Condition:
    """That something holds of at least one key of a record."""
    return AnyOf(inside, name, condition, keys=True)


def list_of(term: Term) -> str:
    """A list in CEL, empty where there is none."""
    return term.otherwise("[]") if isinstance(term, At) else term.cel


def map_of(term: Term) -> str:
    """A record in CEL, empty where there is none."""
    return term.otherwise("{}") if isinstance(term, At) else term.cel


def pairs(value: Any, record: bool) -> Iterator[tuple[Any, Any]]:
    """Number and item of a list, or key and value of a record; one pair that is not known where the whole is not."""
    if record:
        yield from (
            value.items() if isinstance(value, Mapping) else [(value, value)] if value == UNKNOWN else ()
        )
    else:
        yield from enumerate(items(value))


IN_TENANT: Final = NAMESPACE.matches(TENANTS)
"""That an object lives in a tenant's namespace."""
