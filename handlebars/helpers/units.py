"""Text as JavaScript counts it: in UTF-16 units, where 🎉 is two.

`units` spreads such characters into their halves, so that slices and indexes count right; `whole`
joins them again. Nearly all text needs neither and comes back as it is.
"""

import re

_HALF = re.compile("[\ud800-\udfff]")


def units(text: str) -> str:
    """Return `text` with one character for each UTF-16 unit."""
    if text.isascii():
        return text
    encoded = text.encode("utf-16-le", "surrogatepass")
    if len(encoded) == 2 * len(text):
        return text
    return "".join(map(chr, memoryview(encoded).cast("H")))


def whole(text: str) -> str:
    """Join the halves that stand side by side; a lone half stays."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def sorting_key(text: str) -> bytes:
    """Return what sorts texts as JavaScript's `<` does: unit by unit."""
    return text.encode("utf-16-be", "surrogatepass")
