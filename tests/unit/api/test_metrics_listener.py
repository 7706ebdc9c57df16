"""Prometheus over TCP: on the loopback, and nowhere else."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from agent.api.metrics_listener import MetricsListener, loopback
from agent.errors import InvalidObject


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]")])
def test_metrics_are_served_and_nothing_else(host, url):
    listener = MetricsListener(f"{host}:0", lambda: b"up 1\n")
    try:
        with urlopen(f"http://{url}:{listener.port}/metrics") as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (b"up 1\n", "text/plain; version=0.0.4; charset=utf-8")
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://{url}:{listener.port}/status")
    finally:
        listener.stop()


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464"])
def test_other_addresses_are_refused(listen):
    with pytest.raises(InvalidObject, match="is not on the loopback"):
        loopback(listen)


@pytest.mark.parametrize("listen", ["9464", "localhost:9464", "127.0.0.1:http"])
def test_what_is_no_address_says_how_to_write_one(listen):
    with pytest.raises(InvalidObject, match="is no address and port"):
        loopback(listen)
