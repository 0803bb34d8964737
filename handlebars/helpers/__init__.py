"""The helpers that every template may call, one file a family.

A family is a module with a mapping from names to helpers. A name that occurs twice belongs to the
family named last, as with the reference's registration.
"""

from collections.abc import Mapping

from carillon.handlebars.helpers.array import ARRAY, ARRAY_BLOCKS
from carillon.handlebars.helpers.builtin import BUILTIN
from carillon.handlebars.helpers.collection import COLLECTION, SORTING
from carillon.handlebars.helpers.comparison import COMPARISON
from carillon.handlebars.helpers.dates import Clock, date_helpers, utc_now
from carillon.handlebars.helpers.html import HTML
from carillon.handlebars.helpers.language import LANGUAGE
from carillon.handlebars.helpers.localizing import locale_helpers
from carillon.handlebars.helpers.markdown import MARKDOWN
from carillon.handlebars.helpers.mathematics import MATH
from carillon.handlebars.helpers.misc import LOGGING, MISC
from carillon.handlebars.helpers.moments import moment_helpers
from carillon.handlebars.helpers.number import NUMBER
from carillon.handlebars.helpers.object import OBJECT
from carillon.handlebars.helpers.path import PATH
from carillon.handlebars.helpers.regex import REGEX
from carillon.handlebars.helpers.string import LETTERS, STRING
from carillon.handlebars.helpers.url import URL
from carillon.handlebars.runtime.registry import Helper

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
    """Return every helper under its name.

    `locale` is that of `toLocale` if a template names none, `now` the clock of `dateNow` and
    `year`. With `date_plugins` `dateFormat` knows the tokens of Day.js' plugins, such as `Do` and
    `LLL`.
    """
    made = (
        date_helpers(now, plugins=date_plugins),
        moment_helpers(now),
        locale_helpers(locale),
    )
    return {name: helper for family in (*_FAMILIES, *made) for name, helper in family.items()}
