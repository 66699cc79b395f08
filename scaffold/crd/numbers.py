"""Numbers as Go reads them from YAML and prints them into JSON.

Inside the package a JSON number is a Python ``int`` of any size or a finite
``float`` with a fraction or an exponent that Go would print: two spellings of
one value (``1``, ``1.0``, ``1e0``) are one Python object, so equality of data
is equality of JSON.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal

_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
_GO_INT = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))"
)
_DOT_FLOAT = re.compile(r"\.[0-9](_?[0-9])*([eE][-+]?[0-9](_?[0-9])*)?")
_LOOSE_BINARY = re.compile(r"(-?)0b([-+]?[01]+)")
_GO_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Beyond this many characters no Go integer fits; it also keeps int() linear.
_INT_LENGTH = 80


def yaml_number(text: str) -> int | float | None:
    """Return the number YAML ``text`` spells for kubectl, or None for a string.

    A float is not yet canonical: as a mapping's key it keeps its spelling.

    ``text`` begins with a digit or a sign. Underscores count for nothing;
    ``010``, ``0o10``, ``0x8`` and ``0b1000`` are all eight; an integer beyond
    64 bits is a float, a float beyond 64 bits is a string.
    """
    plain = text.replace("_", "")
    if len(plain) <= _INT_LENGTH and (match := _GO_INT.fullmatch(plain)):
        sign, hexadecimal, binary, octal, decimal = match.groups()
        if hexadecimal:
            value = int(hexadecimal, 16)
        elif binary:
            value = int(binary, 2)
        elif octal:
            value = int(octal, 8)
        else:
            value = int(decimal)
        if sign == "-":
            value = -value
        if value in _INT64 or (not sign and value in _UINT64):
            return value
    if _GO_FLOAT.fullmatch(plain):
        return _finite(plain)
    if len(plain) <= _INT_LENGTH and (match := _LOOSE_BINARY.fullmatch(plain)):
        # A quirk of the reader kubectl uses: a second sign after the prefix.
        minus, digits = match.groups()
        if not (minus and digits[0] in "-+"):
            value = int(minus + digits, 2)
            if value in _INT64:
                return value
    return None


def yaml_fraction(text: str) -> int | float | None:
    """Return the number YAML ``text`` spells, or None; it begins with a dot."""
    return _finite(text.replace("_", "")) if _DOT_FLOAT.fullmatch(text) else None


def json_number(text: str) -> int | float:
    """Return the number JSON ``text`` spells, canonical; ValueError beyond 64 bits."""
    if len(text) <= _INT_LENGTH and text.lstrip("-").isdigit():
        return int(text)
    value = _finite(text)
    if value is None:
        raise ValueError(f"{text} is beyond a 64-bit float")
    return canonical(value)


def _finite(text: str) -> float | None:
    value = float(text)
    return None if math.isinf(value) else value


def canonical(value: float) -> int | float:
    """Return a finite float as the JSON number Go prints for it.

    A whole number below 1e21 is printed without exponent, hence is an integer
    for every later reader; its digits are the shortest ones, then zeros.
    """
    if value.is_integer() and abs(value) < 1e21:
        return int(value) if abs(value) < 2**53 else int(Decimal(repr(value)))
    return value


def format_number(value: int | float) -> str:
    """Return the JSON text Go prints for a canonical number."""
    if isinstance(value, int):
        return str(value)
    magnitude = abs(value)
    if 1e-6 <= magnitude < 1e21:
        return format(Decimal(repr(value)), "f")
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    sign = "-" if exponent.startswith("-") else "+"
    return f"{mantissa}e{sign}{exponent.lstrip('+-').lstrip('0')}"


def key_text(value: float) -> str:
    """Return the string kubectl makes of a float used as a mapping key."""
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    if math.isnan(value):
        return ".nan"
    try:
        single = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return ".inf" if value > 0 else "-.inf"
    for precision in range(1, 10):
        digits = f"{single:.{precision - 1}e}"
        if struct.pack("<f", float(digits)) == struct.pack("<f", single):
            break
    mantissa, _, exponent = digits.partition("e")
    power = int(exponent)
    if not -4 <= power < 6:
        return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return format(Decimal(digits), "f")
