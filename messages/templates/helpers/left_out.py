"""Helpers of the reference that are not offered, each with the reason its users are told."""

from collections.abc import Mapping
from types import MappingProxyType

_FILES = "it reads files of the server"
_OTHER_SITE = "it shows a page of another site, which messages can't"

#: The families, the names of each, and why they are left out.
LEFT_OUT_FAMILIES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("code", ("embed",), _FILES),
    ("code", ("gist", "jsfiddle"), _OTHER_SITE),
    ("fs", ("fileSize", "read", "readdir"), _FILES),
    ("markdown", ("md",), _FILES),
    ("math", ("random",), "a message that is sent again must come out the same"),
    ("path", ("absolute", "resolve"), "it looks at folders of the server"),
)
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {name: reason for _, names, reason in LEFT_OUT_FAMILIES for name in names}
)
