"""Headers of a mail: whatever stands in a value, it neither ends its line nor says another thing.

RFC 5322 (addresses, folding), RFC 2047 (texts that are not ASCII), RFC 2231 (parameters).
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

import idna

from carillon.messages.addresses import is_email, is_mailbox
from carillon.messages.record import record

LINE: Final = 76
"""Characters of a line that readers of all kinds show and carry; 998 is the most there may be."""
LONGEST_NAME: Final = 255
"""Characters of an attachment's name, as file systems have them."""
LONGEST_UNSUBSCRIBE: Final = 900
_WORD_BYTES: Final = 45
"""Of text in one encoded word: 60 characters in base64, at most 75 with what is around them."""
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SPECIALS: Final = re.compile(r"[()<>\[\]:;@\\,\"]+")
_MAILBOX: Final = re.compile(r"(?P<name>[^<]*|\"[^\"]*\" *)<(?P<address>[^<>]+)>")
_MEDIA_TYPE: Final = re.compile(
    r"[\w.+-]{1,99}/[\w.+-]{1,99}(?:; ?[\w-]{1,99}=(?:[\w.+-]{1,99}|\"[\w. +-]{1,99}\")){0,9}", re.A
)
_LONGEST_MEDIA_TYPE: Final = 900
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9 ._+-]{1,60}")
UNSUBSCRIBE: Final = re.compile(r"(?:https?://|mailto:)[!-;=?-~]+")


class NotMailable(ValueError):
    """No mail can be made of this; the text is for people and shows no address."""


@record(frozen=True, slots=True)
class Address:
    """An address as it goes over the wire, its domain in ASCII.

    It `is_international` when its local part is not ASCII: only SMTPUTF8 carries it.
    """

    spelt: str
    domain: str
    is_international: bool


def address(text: str, whose: str) -> Address:
    """A bare address. Raises NotMailable, which says `whose`."""
    if not is_email(text):
        raise NotMailable(f"{whose} is not an email address")
    local, _, domain = text.rpartition("@")
    ascii_domain = domain if domain.isascii() else _in_ascii(domain, whose)
    return Address(f"{local}@{ascii_domain}", ascii_domain, not local.isascii())


def _in_ascii(domain: str, whose: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise NotMailable(f"{whose} has a domain that IDNA does not allow") from None


def mailbox(text: str, whose: str) -> tuple[str, Address]:
    """The name and the address of `Name <address>`; the name is empty where there is none.

    Raises NotMailable, which says `whose`.
    """
    if not is_mailbox(text):
        raise NotMailable(f"{whose} is neither an email address nor Name <address>")
    found = None if is_email(text) else _MAILBOX.fullmatch(text)
    if found is None:
        return "", address(text, whose)
    name = found["name"].strip()
    quoted = len(name) > 1 and name.startswith('"') and name.endswith('"')
    return name[1:-1] if quoted else name, address(found["address"], whose)


def line(name: str, value: str) -> str:
    """One header whose value is safe as it is, with its line break."""
    return f"{name}: {value}\r\n"


def text_line(name: str, text: str) -> str:
    """A header for people, such as a subject: whatever is in it, it is read back as one line.

    What is not plain ASCII, or too long for a line, is encoded.
    """
    clean = _UNSAFE.sub(" ", text).strip()
    is_plain = clean.isascii() and len(name) + 2 + len(clean) <= LINE and "=?" not in clean
    return line(name, clean if is_plain else _folded(_encoded_words(clean)))


def mailbox_line(name: str, shown: str, mailbox_address: Address) -> str:
    """A header with one address and the name that is shown with it.

    An encoded name loses what addresses are told apart by: some readers decode it first, and then
    look for the address.
    """
    clean = " ".join(_UNSAFE.sub(" ", shown).split())
    spelt = f"<{mailbox_address.spelt}>"
    if not clean:
        return line(name, mailbox_address.spelt)
    if clean.isascii() and "=?" not in clean:
        phrase = clean if _ATOMS.fullmatch(clean) else _quoted(clean)
        return line(
            name, f"{phrase}\r\n {spelt}" if len(clean) > LINE // 2 else f"{phrase} {spelt}"
        )
    words = _encoded_words(" ".join(_SPECIALS.sub(" ", clean).split()))
    return line(name, _folded((*words, spelt)))


def address_lines(name: str, addresses: Sequence[Address]) -> str:
    """A header with all of these, one on each line; nothing where there is none."""
    if not addresses:
        return ""
    return line(name, ",\r\n ".join(one.spelt for one in addresses))


def attachment_name(name: str) -> str:
    """The parameter `filename` of an attachment, to stand after its disposition."""
    clean = _UNSAFE.sub(" ", name).strip()[:LONGEST_NAME] or "attachment"
    if _PLAIN_NAME.fullmatch(clean):
        return f';\r\n filename="{clean}"'
    pieces = _percent_pieces(clean)
    if len(pieces) == 1:
        return f";\r\n filename*=utf-8''{pieces[0]}"
    first, *rest = pieces
    listed = [f";\r\n filename*0*=utf-8''{first}"]
    listed += [f";\r\n filename*{number}*={piece}" for number, piece in enumerate(rest, start=1)]
    return "".join(listed)


def _percent_pieces(name: str) -> Sequence[str]:
    """Percent-encoded, each piece as long as fits into a line; none ends within a character."""
    pieces = [""]
    for character in name:
        encoded = quote(character, safe="", errors="replace")
        if len(pieces[-1]) + len(encoded) > LINE - 25:
            pieces.append("")
        pieces[-1] += encoded
    return pieces


def media_type(text: str) -> str:
    """The media type if it is one, else that of any bytes."""
    fits = len(text) <= _LONGEST_MEDIA_TYPE and _MEDIA_TYPE.fullmatch(text)
    return text if fits else "application/octet-stream"


def unsubscribe_lines(url: str | None) -> str:
    """The headers by which a reader leaves a list: RFC 2369, and RFC 8058 where it is by HTTPS.

    Raises NotMailable.
    """
    if url is None:
        return ""
    if len(url) > LONGEST_UNSUBSCRIBE or not UNSUBSCRIBE.fullmatch(url):
        raise NotMailable("the address for List-Unsubscribe is no https: or mailto: URL")
    listed = line("List-Unsubscribe", f"<{url}>")
    if url.startswith("https:"):
        listed += line("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    return listed


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _folded(words: Iterable[str]) -> str:
    return "\r\n ".join(words)


def _encoded_words(text: str) -> Iterator[str]:
    """Encoded words, none of which ends within a character."""
    data = text.encode(errors="replace")
    start = 0
    while start < len(data):
        end = min(start + _WORD_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - in a character
            end -= 1
        yield f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode('ascii')}?="
        start = end
