"""HTML escaping of exactly the seven characters that Handlebars.js escapes."""

import re

_UNSAFE = re.compile("[&<>\"'`=]")
#: Finds a character that needs escaping, or gives None.
find_unsafe = _UNSAFE.search


def escape(text: str) -> str:
    """Escape & < > " ' ` and =. Ask find_unsafe first: most texts need no escaping."""
    # Replacing one by one beats a callback for each hit; & must come first.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("=", "&#x3D;").replace('"', "&quot;")
    return text.replace("'", "&#x27;").replace("`", "&#x60;")
