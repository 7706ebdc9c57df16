"""What a restarted agent keeps, gives back and deletes."""

import msgspec

from agent.kernel.link import Link
from agent.network import bandwidth, datapath, reconcile
from agent.objects.attachment import Bandwidth

from .conftest import attachment


def link_of(made, **changed):
    values = {
        "index": made.host_ifindex,
        "name": made.host_ifname,
        "kind": "veth",
        "mac": "",
        "mtu": 1500,
        "master": 0,
        "is_up": True,
        "alias": datapath.alias(made),
        "peer_index": made.host_ifindex + 1,
    }
    return Link(**(values | changed))


def test_an_attachment_whose_veth_is_there_is_alive():
    made = attachment("10.73.0.5")
    found = reconcile.plan([made], [link_of(made)], "boot-1")
    assert found == reconcile.Recovery(alive=(made,), dead=(), leftovers=())


def test_an_attachment_without_its_veth_is_dead_whatever_its_namespace_path_shows():
    made = attachment("10.73.0.5")
    assert reconcile.plan([made], [], "boot-1").dead == (made,)


def test_after_a_reboot_everything_is_dead_even_if_a_link_has_the_name():
    made = attachment("10.73.0.5")
    found = reconcile.plan([made], [link_of(made)], "boot-2")
    assert (found.dead, found.leftovers) == ((made,), (link_of(made),))


def test_a_veth_nobody_has_on_record_is_a_leftover():
    made = attachment("10.73.0.5")
    assert reconcile.plan([], [link_of(made)], "boot-1").leftovers == (link_of(made),)


def test_killed_before_the_alias_was_written_the_link_is_no_finished_attachment():
    made = attachment("10.73.0.5")
    half = link_of(made, alias="")
    assert reconcile.plan([made], [half], "boot-1") == reconcile.Recovery(alive=(), dead=(made,), leftovers=(half,))


def test_foreign_links_are_left_alone():
    made = attachment("10.73.0.5")
    others = [link_of(made, name="eth0", alias=""), link_of(made, name="veth123", alias="")]
    assert reconcile.plan([], others, "boot-1").leftovers == ()


def shaper_of(made):
    return link_of(made, index=bandwidth.shaper_ifindex(made), name=bandwidth.shaper_ifname(made), kind="ifb", peer_index=0)


def test_the_shaping_link_of_a_limited_pod_is_kept_and_any_other_is_a_leftover():
    free = attachment("10.73.0.5")
    limited = msgspec.structs.replace(free, bandwidth=Bandwidth(egress_rate=10**6))
    links = [link_of(free), shaper_of(free)]
    assert reconcile.plan([limited], links, "boot-1").leftovers == ()
    assert reconcile.plan([free], links, "boot-1").leftovers == (shaper_of(free),)
    assert reconcile.plan([limited], links[1:], "boot-1").leftovers == (shaper_of(free),)
