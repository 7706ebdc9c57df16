"""What an export carries: the objects, and the namespaces that they need."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cli import main
from agent.cli.export import needed_namespaces


def document(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name} | ({"namespace": namespace} if namespace else {})}


def test_namespaces_come_along_once_unless_they_are_there() -> None:
    documents = [document("Pod", "a", "shop"), document("Pod", "b", "shop"), document("Pod", "c", "default"), document("Node", "n")]
    assert [found["metadata"]["name"] for found in needed_namespaces(documents)] == ["shop"]
    assert needed_namespaces([document("Namespace", "shop"), document("Pod", "a", "shop")]) == []


def test_an_argument_that_is_no_text_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["exec", "web", "--", "\udcff"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    assert capsys.readouterr().out.startswith("Usage: podwright")
