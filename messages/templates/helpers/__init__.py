"""The helpers that every template may call, one file a family.

A family is a module with a mapping from names to helpers. A name that occurs twice belongs to the
family named last, as with the reference's registration.
"""

from collections.abc import Mapping

from carillon.messages.templates.helpers.array import ARRAY
from carillon.messages.templates.helpers.array_blocks import ARRAY_BLOCKS
from carillon.messages.templates.helpers.builtin import BUILTIN
from carillon.messages.templates.helpers.collection import COLLECTION
from carillon.messages.templates.helpers.comparison import COMPARISON
from carillon.messages.templates.helpers.dates import Clock, date_helpers, utc_now
from carillon.messages.templates.helpers.html import HTML
from carillon.messages.templates.helpers.language import LANGUAGE
from carillon.messages.templates.helpers.letters import LETTERS
from carillon.messages.templates.helpers.localizing import locale_helpers
from carillon.messages.templates.helpers.logging import LOGGING
from carillon.messages.templates.helpers.markdown import MARKDOWN
from carillon.messages.templates.helpers.mathematics import MATH
from carillon.messages.templates.helpers.misc import MISC
from carillon.messages.templates.helpers.moments import moment_helpers
from carillon.messages.templates.helpers.number import NUMBER
from carillon.messages.templates.helpers.object import OBJECT
from carillon.messages.templates.helpers.path import PATH
from carillon.messages.templates.helpers.regex import REGEX
from carillon.messages.templates.helpers.sorting import SORTING
from carillon.messages.templates.helpers.string import STRING
from carillon.messages.templates.helpers.url import URL
from carillon.messages.templates.registry import Helper

_FAMILIES: tuple[Mapping[str, Helper], ...] = (
    BUILTIN,
    ARRAY,
    ARRAY_BLOCKS,
    SORTING,
    COLLECTION,
    COMPARISON,
    HTML,
    LANGUAGE,
    LOGGING,
    MARKDOWN,
    MATH,
    MISC,
    NUMBER,
    OBJECT,
    PATH,
    REGEX,
    STRING,
    LETTERS,
    URL,
)


def standard_helpers(
    locale: str = "en-US", now: Clock = utc_now, *, date_plugins: bool = False
) -> dict[str, Helper]:
    """Give every helper under its name.

    `locale` is that of `toLocale` where a template names none, `now` what
    `dateNow` and `year` show. With
    `date_plugins` `dateFormat` knows the tokens of Day.js' plugins, such as `Do` and `LLL`.
    """
    made = (
        date_helpers(now, plugins=date_plugins),
        moment_helpers(now),
        locale_helpers(locale),
    )
    return {name: helper for family in (*_FAMILIES, *made) for name, helper in family.items()}
