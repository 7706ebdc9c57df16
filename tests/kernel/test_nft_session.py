"""The writer against the kernel: all or nothing, idempotent, and for owned tables alone."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import wraps
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from agent.errors import Conflict, KernelError, Unavailable
from agent.kernel import nft
from agent.kernel.nft import ACCEPT, DROP, Chain, Family, Hook, Nft, Ruleset, Set, Table, goto, jump, rule
from agent.kernel.nft import datatypes as dt
from agent.kernel.nft import fields as f
from agent.kernel.nft.transaction import Dialect
from tests.fresh import in_new_netns, shell

pytestmark = pytest.mark.kernel

TABLE = Table(Family.INET, "t")
PODS = Set(TABLE, "pods", (dt.IPV4,))
NETWORKS = Set(TABLE, "networks", (dt.IPV4,), is_interval=True)
PORTS = Set(TABLE, "ports", (dt.PROTOCOL, dt.SERVICE), (dt.IPV4, dt.SERVICE))
JUDGES = Set(TABLE, "judges", (dt.IPV4,), nft.VERDICT)
RULESET = Ruleset((TABLE,), (PODS, NETWORKS, PORTS, JUDGES), (Chain(TABLE, "c", (rule(DROP),)),))
ONE, TWO = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
OLD_KERNEL = Dialect(has_destroy=False)


def with_session(test: Callable[[Nft], None]) -> Callable[[], None]:
    """Run the test in a fresh namespace with a session on which RULESET was put; table ownership is left to its own tests."""

    def run() -> None:
        session = Nft.open(own_tables=False)
        session.commit(nft.put(RULESET))
        test(session)
        session.close()

    @wraps(test)
    def in_namespace() -> None:
        in_new_netns(run)

    del in_namespace.__wrapped__  # pytest would ask for a fixture `session`
    return in_namespace


@with_session
def test_putting_twice_is_putting_once(session: Nft) -> None:
    change = nft.put(RULESET, PODS.element(ONE), NETWORKS.element(IPv4Network("10.0.0.0/8")), JUDGES.element(ONE, data=goto("c")))
    session.commit(change)
    session.commit(change)
    assert session.list_elements(PODS) == {PODS.element(ONE)}
    assert session.list_elements(NETWORKS) == {NETWORKS.element(IPv4Network("10.0.0.0/8"))}
    assert session.list_elements(JUDGES) == {JUDGES.element(ONE, data=goto("c"))}


@with_session
def test_a_chains_rules_are_replaced_not_repeated(session: Nft) -> None:
    session.commit(nft.put(Chain(TABLE, "c", (rule(ACCEPT),))))
    assert shell("nft list chain inet t c").split("{")[-1].split() == ["accept", "}", "}"]


@with_session
def test_a_map_element_may_change_its_value(session: Nft) -> None:
    session.commit(nft.put(PORTS.element("tcp", 80, data=(ONE, 80))))
    session.commit(nft.put(PORTS.element("tcp", 80, data=(TWO, 8080))))
    assert session.list_elements(PORTS) == {PORTS.element("tcp", 80, data=(TWO, 8080))}


@with_session
def test_what_is_absent_may_be_destroyed(session: Nft) -> None:
    session.commit(nft.destroy(PODS.element(ONE), Chain(TABLE, "nochain"), Table(Family.BRIDGE, "notable")))
    session.commit(nft.put(PODS.element(TWO)) + nft.destroy(PODS.element(ONE), PODS.element(TWO)))
    assert session.list_elements(PODS) == set()


def test_an_old_kernel_is_asked_to_delete_only_what_is_there() -> None:
    def run() -> None:
        session = Nft.open(own_tables=False)
        session.dialect = OLD_KERNEL
        session.commit(nft.put(RULESET, PODS.element(ONE), PORTS.element("tcp", 80, data=(ONE, 80))))
        session.commit(nft.put(PORTS.element("tcp", 80, data=(TWO, 80))))
        session.commit(nft.destroy(PODS.element(ONE), PODS.element(TWO), Chain(TABLE, "nochain"), Table(Family.BRIDGE, "notable")))
        assert session.list_elements(PODS) == set()
        assert session.list_elements(PORTS) == {PORTS.element("tcp", 80, data=(TWO, 80))}
        session.commit(nft.destroy(TABLE) + nft.destroy(TABLE))
        assert session.list_tables() == ()

    in_new_netns(run)


@with_session
def test_a_refused_batch_leaves_nothing_and_names_the_object(session: Nft) -> None:
    bad = Chain(TABLE, "bad", (rule(f.saddr(4).in_(Set(TABLE, "nowhere", (dt.IPV4,))), jump("c")),))
    with pytest.raises(KernelError) as refused:
        session.commit(nft.put(PODS.element(ONE), bad, PODS.element(TWO)))
    assert refused.value.request == "nft add rule inet t bad ip saddr @nowhere jump c"
    assert session.list_elements(PODS) == set()
    assert session.list_chains(TABLE) == {"c"}
    session.commit(nft.put(PODS.element(ONE)))
    assert session.list_elements(PODS) == {PODS.element(ONE)}


@with_session
def test_thousands_of_refusals_are_one_error(session: Nft) -> None:
    missing = Set(TABLE, "nowhere", (dt.IPV4,))
    many = [element for n in range(5000) for element in (missing.element(ONE + n), PODS.element(ONE + n))]
    with pytest.raises(KernelError, match=r"add element inet t nowhere \{ 10.0.0.1 \}"):
        session.commit(nft.put(*many))
    session.commit(nft.put(PODS.element(ONE)))
    assert session.list_elements(PODS) == {PODS.element(ONE)}


@with_session
def test_a_batch_may_be_larger_than_an_attribute_and_a_socket_buffer(session: Nft) -> None:
    many = [PODS.element(ONE + n) for n in range(50_000)]
    session.commit(nft.put(*many))
    assert session.list_elements(PODS) == set(many)
    session.commit(nft.destroy(*many))
    assert session.list_elements(PODS) == set()


@with_session
def test_a_change_that_was_planned_on_an_older_state_is_a_conflict(session: Nft) -> None:
    planned_on = session.generation()
    session.commit(nft.put(PODS.element(ONE)))
    with pytest.raises(Conflict):
        session.commit(nft.put(PODS.element(TWO)), generation=planned_on)
    session.commit(nft.put(PODS.element(TWO)), generation=session.generation())
    assert session.list_elements(PODS) == {PODS.element(ONE), PODS.element(TWO)}


@with_session
def test_many_threads_may_write_and_list(session: Nft) -> None:
    def one_pod(number: int) -> None:
        for turn in range(50):
            mine = PODS.element(ONE + number * 100 + turn)
            session.commit(nft.put(mine))
            assert mine in session.list_elements(PODS)
            session.commit(nft.destroy(mine))

    threads = [threading.Thread(target=one_pod, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.list_elements(PODS) == set()


@pytest.mark.needs("ip")
def test_a_device_chain_is_put_and_destroyed_whether_or_not_its_device_lives() -> None:
    def run() -> None:
        table = Table(Family.NETDEV, "t")
        chain = Chain(table, "pwv1", (rule(DROP),), Hook("filter", "ingress", -500, "pwv1", policy="drop"))
        session = Nft.open(own_tables=False)
        shell("ip link add pwv1 type veth peer name pod")
        session.commit(nft.put(table, chain))
        session.commit(nft.put(chain))
        assert session.list_chains(table) == {"pwv1"}
        shell("ip link del pwv1")
        session.commit(nft.destroy(chain))
        assert session.list_chains(table) == set()

    in_new_netns(run)


AGENT = """
    import sys
    from agent.kernel import nft
    from tests.kernel import test_nft_session as t
    session = nft.Nft.open()
    if not session.owns_tables:
        print("no", flush=True)
        sys.exit()
    nft.ensure_ruleset(session, t.RULESET, [t.PODS.element(t.ONE)])
    print("owned", flush=True)
    sys.stdin.read()
"""


def start_agent() -> subprocess.Popen[str]:
    """A process that owns the tables until it is killed, in the caller's namespace."""
    argv = [sys.executable, "-c", textwrap.dedent(AGENT)]
    agent = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    assert select.select([agent.stdout], [], [], 20)[0], "the other agent did not start"
    if agent.stdout.readline() == "no\n":
        agent.wait()
        pytest.skip("needs a kernel with persistent owned tables (6.9)")
    return agent


@pytest.mark.needs("nft")
def test_only_the_owner_writes_and_the_next_process_adopts() -> None:
    def run() -> None:
        agent = start_agent()
        try:
            refused_while_owned()
        finally:
            agent.kill()
            agent.communicate()
        (orphan,) = Nft.open().list_tables()
        assert (orphan.owner, orphan.is_persistent) == (0, True)
        session = Nft.open()
        change = nft.ensure_ruleset(session, RULESET, [PODS.element(TWO)])
        assert str(change).splitlines()[1:] == [f"add element {PODS.element(TWO)}", f"destroy element {PODS.element(ONE)}"]
        refused_while_owned()
        assert session.list_elements(PODS) == {PODS.element(TWO)}
        nft.remove_ruleset(session, RULESET)
        assert session.list_tables() == ()

    in_new_netns(run)


def refused_while_owned() -> None:
    assert "Operation not permitted" in shell("nft add element inet t pods '{ 1.2.3.4 }'", check=False)
    assert "Operation not permitted" in shell("nft delete table inet t", check=False)
    assert shell("nft flush ruleset; nft list tables") == "table inet t\n"
    with pytest.raises(Unavailable, match="another process owns it"):
        nft.ensure_ruleset(Nft.open(), RULESET)


@with_session
def test_a_table_with_the_wanted_digest_is_kept_and_only_elements_change(session: Nft) -> None:
    nft.ensure_ruleset(session, RULESET, [PODS.element(ONE), JUDGES.element(ONE, data=DROP)])
    handles = shell("nft -a list table inet t | grep handle | sed 's/.*handle//'") if has_nft() else ""
    assert not nft.ensure_ruleset(session, RULESET, [PODS.element(ONE), JUDGES.element(ONE, data=DROP)])
    change = nft.ensure_ruleset(session, RULESET, [PODS.element(TWO), JUDGES.element(ONE, data=ACCEPT)])
    assert str(change).splitlines() == [
        "destroy element inet t judges { 10.0.0.1 : accept }",
        "add element inet t pods { 10.0.0.2 }",
        "add element inet t judges { 10.0.0.1 : accept }",
        "destroy element inet t pods { 10.0.0.1 }",
    ]
    assert session.list_elements(JUDGES) == {JUDGES.element(ONE, data=ACCEPT)}
    assert handles == (shell("nft -a list table inet t | grep handle | sed 's/.*handle//'") if has_nft() else "")


def has_nft() -> bool:
    return shell("command -v nft", check=False) != ""


@with_session
def test_any_other_table_of_that_name_is_replaced_with_its_elements(session: Nft) -> None:
    session.commit(nft.put(Chain(TABLE, "foreign", (rule(ACCEPT),)), PODS.element(TWO)))
    nft.ensure_ruleset(session, RULESET, [PODS.element(ONE)])
    assert session.list_chains(TABLE) == {"c"}
    assert session.list_elements(PODS) == {PODS.element(ONE)}


@with_session
def test_a_table_that_was_deleted_comes_back_whole(session: Nft) -> None:
    nft.ensure_ruleset(session, RULESET, [PODS.element(ONE)])
    session.commit(nft.destroy(TABLE))
    nft.ensure_ruleset(session, RULESET, [PODS.element(ONE)])
    assert session.list_elements(PODS) == {PODS.element(ONE)}


@with_session
def test_device_chains_are_compared_by_name(session: Nft) -> None:
    table = Table(Family.NETDEV, "t")

    def device(name: str) -> Chain:
        shell(f"ip link add {name} type veth peer name {name}p", check=False)
        return Chain(table, name, (rule(goto("judge")),), Hook("filter", "ingress", -500, name, policy="drop"))

    skeleton = Ruleset((table,), (), (Chain(table, "judge", (rule(DROP),)),))
    nft.ensure_ruleset(session, skeleton, chains=[device("pwv1"), device("pwv2")])
    change = nft.ensure_ruleset(session, skeleton, chains=[device("pwv2"), device("pwv3")])
    assert session.list_chains(table) == {"judge", "pwv2", "pwv3"}
    assert "pwv2" not in str(change)


@with_session
def test_four_elements_cost_little(session: Nft) -> None:
    """0.04 ms on the machine of the benchmarks; the bound only notices when something grows with the set."""
    session.commit(nft.put(*(PODS.element(ONE + n) for n in range(20_000))))
    changes = [nft.put(*(PODS.element(IPv4Address("11.0.0.0") + 4 * n + part) for part in range(4))) for n in range(200)]
    started = time.perf_counter()
    for change in changes:
        session.commit(change)
    assert (time.perf_counter() - started) / len(changes) < 0.002


def test_a_process_without_rights_is_told_so() -> None:
    """It imports before it gives its rights up: the checkout may be root's alone."""
    script = "import os\nfrom agent.kernel.nft import Nft\nos.setuid(65534)\nNft.open()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."}, check=False
    )
    assert "EPERM" in done.stderr


def test_ipv6_addresses_in_raw_headers_are_read_back() -> None:
    def run() -> None:
        targets = Set(TABLE, "targets", (dt.IFNAME, dt.ETHER, dt.RAW_IPV6), typeof=(f.iifname, f.ether_saddr, f.nd_target))
        session = Nft.open(own_tables=False)
        element = targets.element("pwv1", "0a:58:0a:49:00:02", IPv6Address("fd73::2"))
        session.commit(nft.put(TABLE, targets, element))
        assert session.list_elements(targets) == {element}

    in_new_netns(run)
