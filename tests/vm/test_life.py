"""From a fresh Debian 12 to pods and back: systemd, kernel 6.1, cgroup version 2 alone. Each test goes on from the last."""

from __future__ import annotations

import re
import time

import pytest
from disposable.machine import Machine

from .machines import wait_ready

pytestmark = pytest.mark.vm

KEPT = "/tmp/pinging"


def pods(machine: Machine) -> dict[str, str]:
    """Name and addresses."""
    rows = machine.out("podwright get pods -n demo -o wide").splitlines()[1:]
    assert all(" Sandboxed " in row for row in rows), rows
    return {row.split()[0]: row.split()[5] for row in rows}


def held(machine: Machine) -> list[str]:
    """What of ours the machine holds: links, tables, mounts, loops, groups, files."""
    return machine.out(
        "ip -o link | grep -oE 'pw[0-9a-z]+' | sort -u; nft list tables 2>/dev/null | grep podwright; "
        "grep -o '[^ ]*podwright/[^ ]*' /proc/self/mounts; losetup -n -O NAME; ls -d /sys/fs/cgroup/podwright /run/podwright "
        "/var/lib/podwright /etc/podwright /var/log/podwright /opt/podwright /usr/local/bin/podwright "
        "/etc/systemd/system/podwright.service /etc/systemd/system/*.wants/podwright.service 2>/dev/null; "
        "getent group podwright; true"
    ).splitlines()


def settings(machine: Machine) -> str:
    return machine.out("sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.eth0.accept_ra")


SEEN: dict[str, str] = {}


def test_nothing_is_there_yet(fresh: Machine) -> None:
    assert fresh.run("command -v python3 nft podwright", check=False).stdout == ""
    assert held(fresh) == []
    SEEN["settings"] = settings(fresh)


def test_up(fresh: Machine) -> None:
    shown = fresh.out("scripts/up", timeout_s=900)
    measured = re.search(r"^(\d+) of (\d+) paths work", shown, re.MULTILINE)
    assert measured, shown
    assert measured[1] == measured[2], shown
    assert fresh.out("systemctl is-enabled podwright; systemctl is-active podwright").split() == ["enabled", "active"]
    assert fresh.out("systemctl --failed --no-legend") == ""


def test_up_again_keeps_the_pods(fresh: Machine) -> None:
    before = pods(fresh)
    assert "paths work" in fresh.out("scripts/up", timeout_s=600)
    assert pods(fresh) == before


def test_doctor_finds_no_problem_on_a_new_debian(fresh: Machine) -> None:
    assert "\n0 problems" in fresh.out("podwright doctor")


def test_flows_go_on_through_restart_kill_and_stop(fresh: Machine) -> None:
    target = pods(fresh)["front"].split(",")[0]
    fresh.run(f"nohup podwright exec -n demo client -- ping -i 0.05 -q {target} >{KEPT} 2>&1 & sleep 1")
    mounts = fresh.out("grep -c podwright /proc/self/mounts")
    for end in ("restart", "kill -s KILL --kill-whom=main", "stop"):
        fresh.run(f"systemctl {end} podwright")
        time.sleep(2)
        fresh.run("systemctl start podwright")
        wait_ready(fresh)
        assert fresh.out("grep -c podwright /proc/self/mounts") == mounts
    fresh.run("kill -INT $(pidof ping); sleep 1")
    assert " 0% packet loss" in fresh.out(f"cat {KEPT}")


def test_a_reboot_brings_the_pods_back_with_their_addresses(fresh: Machine) -> None:
    before, held_before = pods(fresh), held(fresh)
    fresh.reboot()
    wait_ready(fresh)
    fresh.run("podwright wait pods --all -n demo --for=condition=PodReadyToStartContainers --timeout 60s")
    assert pods(fresh) == before
    assert "17 of 17 paths work" in fresh.out("scripts/reach demo")
    assert held(fresh) == held_before  # since reach ran in each pod again, also what exec mounts
    assert fresh.out("systemctl is-system-running") == "running"


def test_down_leaves_nothing(fresh: Machine) -> None:
    fresh.run("scripts/down", timeout_s=300)
    assert held(fresh) == []
    assert settings(fresh) == SEEN["settings"]
    for options in ("", "--purge --yes"):
        fresh.run(f"scripts/down {options}")


def test_up_and_purge(fresh: Machine) -> None:
    assert "paths work" in fresh.out("scripts/up", timeout_s=900)
    fresh.run("scripts/down --purge --yes", timeout_s=300)
    assert held(fresh) == []
