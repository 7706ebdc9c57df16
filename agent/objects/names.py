"""What a name may look like: DNS labels and subdomains (RFC 1123), label keys and values, port names.

Each function returns what is wrong with a text, or "" when nothing is; the caller knows the field's path.
Lengths are Kubernetes' limits. Names end up in file names, host names and metric labels, so nothing looser will do.
"""

from __future__ import annotations

import re
from random import Random

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_ENVIRONMENT = re.compile(r"[ -<>-~]+", re.ASCII)
_PORT = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels: a random name never spells a word."""
SUFFIX_LENGTH = 5
LONGEST_PREFIX = 58
"""With the suffix at most 63, so that a pod's name can be its host name."""


def random_suffix(random: Random) -> str:
    """As Kubernetes gives to generateName."""
    return "".join(random.choices(SUFFIX_LETTERS, k=SUFFIX_LENGTH))


def dns_label_problem(text: str) -> str:
    """RFC 1123 label: namespaces, containers, host names."""
    if len(text) > 63:
        return f'"{text}" is {len(text)} characters long, at most 63 are allowed'
    if not _LABEL.fullmatch(text):
        return f'"{text}" is not a DNS label: use lowercase letters, digits and "-", with a letter or digit at both ends'
    return ""


def dns_subdomain_problem(text: str) -> str:
    """RFC 1123 subdomain: names of most objects."""
    if len(text) > 253:
        return f'"{text[:40]}…" is {len(text)} characters long, at most 253 are allowed'
    if not _SUBDOMAIN.fullmatch(text):
        return f'"{text}" is not a DNS name: use lowercase letters, digits, "-" and ".", with a letter or digit at both ends of each part'
    return ""


def label_key_problem(key: str) -> str:
    """A label or annotation key: [DNS name/]name."""
    prefix, slash, name = key.rpartition("/")
    if slash and dns_subdomain_problem(prefix):
        return f'key "{key}": {dns_subdomain_problem(prefix)}'
    if len(name) > 63:
        return f'key "{key}": the part after "/" is {len(name)} characters long, at most 63 are allowed'
    if not _QUALIFIED.fullmatch(name):
        return f'key "{key}": "{name}" must be letters, digits, "-", "_" and ".", with a letter or digit at both ends'
    return ""


def label_value_problem(value: str) -> str:
    if len(value) > 63:
        return f'label value "{value}" is {len(value)} characters long, at most 63 are allowed'
    if value and not _QUALIFIED.fullmatch(value):
        return f'label value "{value}" must be letters, digits, "-", "_" and ".", with a letter or digit at both ends'
    return ""


def port_name_problem(name: str) -> str:
    """IANA service name, as RFC 6335 limits it."""
    if len(name) > 15:
        return f'"{name}" is {len(name)} characters long, at most 15 are allowed'
    if not _PORT.fullmatch(name) or "--" in name:
        return f'"{name}" is not a port name: use lowercase letters (at least one), digits and single "-"'
    return ""


def environment_name_problem(name: str) -> str:
    if not _ENVIRONMENT.fullmatch(name):
        return f'"{name}" is not a variable name: use printable ASCII characters without "="'
    return ""
