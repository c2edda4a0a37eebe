"""Units of a pixel, as each format spells them."""

from __future__ import annotations

_LENGTHS = {
    "angstrom": ("Å", "A", ("å", "a")),
    "picometer": ("pm", "pm", ("picometre",)),
    "nanometer": ("nm", "nm", ("nanometre",)),
    "micrometer": ("µm", "um", ("micrometre", "micron", "microns", "um", "μm")),
    "millimeter": ("mm", "mm", ("millimetre",)),
    "centimeter": ("cm", "cm", ("centimetre",)),
    "meter": ("m", "m", ("metre",)),
    "kilometer": ("km", "km", ("kilometre",)),
    "inch": ("in", "in", ()),
    "foot": ("ft", "ft", ()),
}
_TIMES = {
    "nanosecond": ("ns", "ns", ()),
    "microsecond": ("µs", "us", ("us", "μs")),
    "millisecond": ("ms", "ms", ()),
    "second": ("s", "s", ("sec", "seconds")),
    "minute": ("min", "min", ("minutes",)),
    "hour": ("h", "h", ("hours",)),
    "day": ("d", "d", ("days",)),
}
_KNOWN = _LENGTHS | _TIMES
_NAMES = {name: name for name in _KNOWN} | {
    other: name for name, (symbol, plain, more) in _KNOWN.items() for other in (symbol.lower(), plain.lower(), *more)
}
_NONE = ("", "pixel", "pixels", "px")


def unit_name(unit: str | None) -> str | None:
    """A unit spelt out as OME-Zarr has it ("micrometer"); None for pixels and for what is no unit of length or time."""
    text = (unit or "").strip().lower()
    return None if text in _NONE else _NAMES.get(text)


def unit_symbol(unit: str | None, *, ascii_only: bool = False) -> str | None:
    """A unit as OME-TIFF has it ("µm"), or in ASCII ("um"); None as for :func:`unit_name`."""
    name = unit_name(unit)
    if name is None:
        return None
    symbol, plain, _ = _KNOWN[name]
    return plain if ascii_only else symbol


def is_time(unit: str | None) -> bool:
    """Whether it is one of time."""
    return unit_name(unit) in _TIMES
