"""Thousands of plans are applied here: their log lines would only hide a failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logger.disable("agent.controllers")
    yield
    logger.enable("agent.controllers")
