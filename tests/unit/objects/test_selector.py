from __future__ import annotations

import pytest

from agent.errors import InvalidObject
from agent.objects.selector import LabelRequirement, LabelSelector, Operator, parse_selector, selector_problems

WEB = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("text", "is_match"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier = front", True),
        ("app=db", False),
        ("app!=db", True),
        ("missing!=x", True),
        ("app in (web,db)", True),
        ("app in (db)", False),
        ("app notin (db, cache)", True),
        ("missing notin (db)", True),
        ("app notin (web)", False),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("missing", False),
        ("app=web,tier in (front,back),!legacy", True),
        ("app=web,tier in (back)", False),
        ("empty=", False),
        ("app.kubernetes.io/name!=x", True),
    ],
)
def test_the_selector_language(text: str, is_match: bool) -> None:
    assert parse_selector(text).matches(WEB) is is_match


@pytest.mark.parametrize("text", ["app in web", "app in (a", "=web", "app=web=x y", "a b", "app,,tier", "!", "app=web,"])
def test_what_is_no_selector_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(InvalidObject) as refusal:
        parse_selector(text)
    assert f'"{text}"' in refusal.value.message


def test_a_selector_whose_value_could_never_be_a_label_is_refused() -> None:
    with pytest.raises(InvalidObject, match="label value"):
        parse_selector("app=a/b")


def test_labels_and_expressions_must_all_match() -> None:
    selector = LabelSelector(
        match_labels={"app": "web"}, match_expressions=(LabelRequirement(key="tier", operator=Operator.NOT_IN, values=("back",)),)
    )
    assert selector.matches(WEB)
    assert not selector.matches({"app": "web", "tier": "back"})
    assert not selector.matches({"tier": "front"})


def test_an_empty_selector_matches_everything() -> None:
    assert LabelSelector().is_empty
    assert LabelSelector().matches({})


def test_what_is_wrong_with_a_selector_is_told_by_path() -> None:
    selector = LabelSelector(
        match_labels={"-": "ok", "app": "a b"},
        match_expressions=(
            LabelRequirement(key="a", operator=Operator.IN),
            LabelRequirement(key="a", operator=Operator.EXISTS, values=("x",)),
        ),
    )
    assert [problem.split(":")[0] for problem in selector_problems(selector, "spec.selector")] == [
        "spec.selector.matchLabels",
        "spec.selector.matchLabels[app]",
        "spec.selector.matchExpressions[0].values",
        "spec.selector.matchExpressions[1].values",
    ]
