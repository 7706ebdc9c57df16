"""A guest's packages are those that the scripts ask for, read from the scripts."""

from __future__ import annotations

import pytest
from disposable import recipe


@pytest.mark.parametrize("package", ["python3-venv", "nftables", "iproute2", "ca-certificates", "tcpdump", "containernetworking-plugins"])
def test_what_up_and_test_install_is_in_the_guest(package: str) -> None:
    assert package in recipe.wanted_packages()
    assert package in recipe.archived_packages()


def test_what_they_offer_is_only_in_its_archive() -> None:
    assert "podman" in recipe.archived_packages()
    assert "podman" not in recipe.wanted_packages()


def test_nothing_that_podwright_needs_is_in_a_fresh_guest() -> None:
    assert set(recipe.BASE).isdisjoint({"python3", "python3-venv", "nftables", "conntrack"})


def test_each_kernel_has_an_image_of_its_own() -> None:
    assert recipe.image_inputs("amd64") != recipe.image_inputs("cloud-amd64")
    assert recipe.kernel_package("amd64") == "linux-image-amd64"
    assert recipe.kernel_package("backports") == "linux-image-cloud-amd64/bookworm-backports"
