"""Podwright's node agent: the one privileged process that gives pods their network, policy and storage."""

__version__ = "0.1.0.dev0"
