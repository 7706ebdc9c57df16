"""Which objects are meant: metav1.LabelSelector, the `-l` selector language, and matching against labels.

An empty LabelSelector matches every object. `NotIn` and `DoesNotExist` match objects without the key, as in Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from agent.errors import InvalidObject
from agent.objects.meta import Value
from agent.objects.names import label_key_problem, label_value_problem


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(Value, frozen=True):
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(Value, frozen=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelRequirement, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


def selector_problems(selector: LabelSelector, path: str) -> Iterator[str]:
    """What is wrong with a selector, one line each."""
    for key, value in selector.match_labels.items():
        if problem := label_key_problem(key):
            yield f"{path}.matchLabels: {problem}"
        if problem := label_value_problem(value):
            yield f"{path}.matchLabels[{key}]: {problem}"
    for index, requirement in enumerate(selector.match_expressions):
        yield from _requirement_problems(requirement, f"{path}.matchExpressions[{index}]")


def _requirement_problems(requirement: LabelRequirement, path: str) -> Iterator[str]:
    if problem := label_key_problem(requirement.key):
        yield f"{path}.key: {problem}"
    for index, value in enumerate(requirement.values):
        if problem := label_value_problem(value):
            yield f"{path}.values[{index}]: {problem}"
    wants_values = requirement.operator in (Operator.IN, Operator.NOT_IN)
    if wants_values and not requirement.values:
        yield f"{path}.values: operator {requirement.operator} needs at least one value"
    if not wants_values and requirement.values:
        yield f"{path}.values: operator {requirement.operator} takes no values"


_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^()]*)\)")
_EQUALITY = re.compile(r"([^\s=!]+)\s*(==|=|!=)\s*(\S*)")
_EXISTS = re.compile(r"(!?)\s*([^\s=!(),]+)")
_TERM_BORDER = re.compile(r",(?![^()]*\))")


def parse_selector(text: str) -> LabelSelector:
    """The `-l` language: "app=web,tier in (a,b),track!=canary,partition,!legacy". Raises InvalidObject."""
    requirements = tuple(_parse_term(term.strip(), text) for term in _TERM_BORDER.split(text)) if text.strip() else ()
    selector = LabelSelector(match_expressions=requirements)
    problems = tuple(selector_problems(selector, "selector"))
    if problems:
        raise InvalidObject(f'cannot use selector "{text}": {problems[0]}', problems=problems)
    return selector


def _parse_term(term: str, text: str) -> LabelRequirement:
    if found := _SET.fullmatch(term):
        key, word, values = found.groups()
        return LabelRequirement(
            key=key,
            operator=Operator.IN if word == "in" else Operator.NOT_IN,
            values=tuple(value.strip() for value in values.split(",")),
        )
    if found := _EQUALITY.fullmatch(term):
        key, sign, value = found.groups()
        return LabelRequirement(key=key, operator=Operator.NOT_IN if sign == "!=" else Operator.IN, values=(value,))
    if found := _EXISTS.fullmatch(term):
        return LabelRequirement(key=found[2], operator=Operator.DOES_NOT_EXIST if found[1] else Operator.EXISTS)
    raise InvalidObject(
        f'cannot read selector "{text}": "{term}" is not a requirement',
        hint="write app=web, app!=web, tier in (a,b), tier notin (a,b), key or !key, separated by commas",
    )
