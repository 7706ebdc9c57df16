"""Virtual machines that are made in seconds and thrown away: what `scripts/vm` and `tests/vm` are made of.

    recipe     what a guest is made of: packages and files, as values
    cache      where built things stay, keyed by what they were built from; killed builds leave nothing half done
    image      the Debian system of the guests
    carried    Python packages and the clone, so that a guest asks nobody
    hypervisor whether KVM works here, and QEMU's command line
    machine    one running guest: boot, run commands, end

Standard library only: it runs before anything is installed.
"""
