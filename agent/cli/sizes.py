"""Sizes as people write and read them: 20Gi, 512Mi."""

from __future__ import annotations

import click

_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}


def bytes_of(text: str) -> int:
    """Raises UsageError."""
    number = text.rstrip("KMGTki")
    unit = text[len(number) :]
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError):
        raise click.UsageError(f'"{text}" is not a size: write 20Gi, 512Mi or a number of bytes') from None


def size_text(count: int) -> str:
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if count >= _UNITS[unit]:
            return f"{count / _UNITS[unit]:.1f}".removesuffix(".0") + unit
    return str(count)
