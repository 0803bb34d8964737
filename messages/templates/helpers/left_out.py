"""Helpers of the reference that are not offered, each with the reason its users are told."""

from collections.abc import Mapping
from types import MappingProxyType

_FILES = "it reads files of the server"
_GLOB = "it matches names of files; `test` and `contains` look into text"
_LINKS = "mail programs drop what it makes"
_OTHER_SITE = "it shows a page of another site, which messages can't"
_CLOCK = "it follows another library of dates; use `dateNow` and `dateFormat`"
_MARKDOWN = "there is no Markdown in messages"

#: The families, the names of each, and why they are left out.
LEFT_OUT_FAMILIES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("code", ("embed",), _FILES),
    ("code", ("gist", "jsfiddle"), _OTHER_SITE),
    ("date", ("year", "date", "moment"), _CLOCK),
    ("fs", ("fileSize", "read", "readdir"), _FILES),
    ("html", ("css", "js"), _LINKS),
    ("markdown", ("markdown", "md"), _MARKDOWN),
    ("match", ("match", "isMatch", "mm"), _GLOB),
    ("math", ("random",), "a message that is sent again must come out the same"),
    ("path", ("absolute", "relative", "resolve"), "it looks at folders of the server"),
)
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {name: reason for _, names, reason in LEFT_OUT_FAMILIES for name in names}
)
