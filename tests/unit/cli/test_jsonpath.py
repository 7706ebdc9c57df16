"""The part of JSONPath that scripts use."""

from __future__ import annotations

import click
import pytest

from agent.cli.jsonpath import render

POD = {
    "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web", "tier": "front"}},
    "spec": {"containers": [{"name": "a", "ports": [{"p": 1}, {"p": 2}]}, {"name": "b"}], "hostNetwork": False},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "web"),
        ("{$.metadata.name}", "web"),
        (".metadata.name", "web"),
        ("metadata.name", "web"),
        ("{.spec.containers[0].name}", "a"),
        ("{.spec.containers[-1].name}", "b"),
        ("{.spec.containers[7].name}", ""),
        ("{.spec.containers[*].name}", "a b"),
        ("{.spec.containers[*].ports[*].p}", "1 2"),
        ("{.metadata.labels['app.kubernetes.io/name']}", "web"),
        (r"{.metadata.labels.app\.kubernetes\.io/name}", None),
        ("{.metadata.labels.*}", "web front"),
        ("{.spec.hostNetwork}", "false"),
        ("{.metadata}", '{"name": "web", "labels": {"app.kubernetes.io/name": "web", "tier": "front"}}'),
        ("{.nothing.here}", ""),
        ("name: {.metadata.name}!", "name: web!"),
        ('{range .spec.containers[*]}<{.name}>{"\\n"}{end}done', "<a>\n<b>\ndone"),
        ("{range .nothing[*]}<{range .x}{end}>{end}done", "done"),
        ("{range .spec.containers[*]}{.name}:{range .ports[*]}{.p},{end};{end}", "a:1,2,;b:;"),
    ],
)
def test_render(template: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(click.UsageError):
            render(template, POD)
    else:
        assert render(template, POD) == text


@pytest.mark.parametrize("template", ["{.a[}", "{.a b}", "{range .spec}", "x{end}", "{.spec.containers[?(@.name=='a')]}"])
def test_what_is_not_understood_is_an_error(template: str) -> None:
    with pytest.raises(click.UsageError):
        render(template, POD)
