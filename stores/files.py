"""Attachments from the file service, from a local folder, or from nowhere (contracts 1.5)."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from mimetypes import guess_type
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import httpx
import trio

from carillon.messages.errors import AttachmentRefused, FilesUnavailable
from carillon.messages.model import Attachment, AttachmentReference
from carillon.stores.bounded_body import TooLarge, Undecodable, read_body
from carillon.stores.http_errors import unanswered

_MEDIA_TYPE: Final = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+", re.ASCII)
# RFC 6266: `filename*=UTF-8''na%C3%AFve.txt`, `filename="na\"ive.txt"` or `filename=plain.txt`.
_EXTENDED: Final = re.compile(
    r";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[\w-]*'([^;\s]+)", re.I | re.ASCII
)
_QUOTED: Final = re.compile(r';\s*filename\s*=\s*"((?:\\.|[^"\\])*)"', re.I)
_PLAIN: Final = re.compile(r';\s*filename\s*=\s*([^";\s]+)', re.I)
_QUOTED_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"')


def disposition_name(header: str) -> str | None:
    """The file name in a Content-Disposition, without folders; None when it gives none.

    `filename*` wins over `filename` (RFC 6266, 4.3).
    """
    return _extended_name(header) or _plain_name(header)


def media_type(header: str | None, name: str) -> str:
    """The type in a Content-Type without its parameters, else the guess for the name."""
    declared = (header or "").partition(";")[0].strip()
    if _MEDIA_TYPE.fullmatch(declared):
        return declared.lower()
    return guess_type(name)[0] or "application/octet-stream"


def _extended_name(header: str) -> str | None:
    # Inside a quoted string `;filename*=` is only text.
    match = _EXTENDED.search(_QUOTED_STRING.sub('""', header))
    if match is None:
        return None
    charset, encoded = match.groups()
    try:
        return leaf(unquote(encoded, encoding=charset, errors="strict"))
    except UnicodeError:
        return None


def _plain_name(header: str) -> str | None:
    if match := _QUOTED.search(header):
        return leaf(re.sub(r"\\(.)", r"\1", match[1]))
    match = _PLAIN.search(header)
    return leaf(match[1]) if match else None


def leaf(name: str) -> str | None:
    """The last part of a path of either kind, without what is not printable."""
    leaf = re.split(r"[/\\]", name)[-1]
    return "".join(filter(str.isprintable, leaf)).strip() or None


LARGEST: Final = 15 * 1024 * 1024
"""Bytes of a file, at most."""

_NAME_LENGTH: Final = 200
_QUOTED_LENGTH: Final = 4_000
_TRANSIENT: Final = frozenset({408, 425, 429})
_NO_SUCH_FILE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}
    | {errno.EPERM, errno.ENXIO}  # what opening a socket or a device answers
)


class FileService:
    """`GET /download/{file}` over a shared client, which the caller closes. Never repeats."""

    def __init__(self, client: httpx.AsyncClient, base_url: str, *, timeout: float) -> None:
        """`base_url` may have a path (a bucket's scope), `timeout` bounds a read in seconds."""
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout

    async def fetch(self, reference: AttachmentReference) -> Attachment:
        """The whole file, at most 15 MiB: held to by what is said of it and by counting.

        Raises:
            AttachmentRefused: it is missing, too large, or the service will not give it.
            FilesUnavailable: it could not be read now, or was cut off.
        """
        file = reference.file
        if reference.size is not None:
            _hold_to_limit(file, reference.size)
        url = f"{self._base_url}/download/{_quoted(file)}"
        with self._reading():
            async with self._client.stream(
                "GET",
                url,
                headers={"Accept-Encoding": "identity"},
                timeout=None,
                follow_redirects=False,
            ) as answer:
                _accept(file, answer)
                content = await _content(reference, answer)
        disposition = answer.headers.get("content-disposition", "")
        name = leaf(reference.name or "") or disposition_name(disposition) or leaf(file) or file
        return Attachment(name, content, media_type(answer.headers.get("content-type"), name))

    async def check(self) -> None:
        """Return when the service answers; raise FilesUnavailable when not.

        A scope in the base address hides the status route; its 404 is an answer all the same.
        """
        url = f"{self._base_url}/-/check-up"
        with self._reading():
            async with self._client.stream(
                "GET", url, timeout=None, follow_redirects=False
            ) as answer:
                status = answer.status_code  # whatever its body says, and however long it is
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise FilesUnavailable(f"The file service answered {status}")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with trio.fail_after(self._timeout):
                yield
        except trio.TooSlowError as error:
            raise FilesUnavailable(
                f"The file service did not answer within {self._timeout:g} seconds"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FilesUnavailable(
                f"The file service could not be read ({unanswered(error)})"
            ) from error


class FilesDirectory:
    """Files of one local folder and the folders in it; links that leave it are refused.

    So are files and folders that are hidden by a dot: they are settings, and often secrets.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self, reference: AttachmentReference) -> Attachment:
        """The whole file, at most 15 MiB, named by its path inside the folder.

        Raises:
            AttachmentRefused: it is missing, too large, outside, or no regular file.
            FilesUnavailable: it could not be read now.
        """
        content = await trio.to_thread.run_sync(self._read, reference.file, abandon_on_cancel=True)
        name = leaf(reference.name or "") or leaf(reference.file) or reference.file
        return Attachment(name, content, media_type(None, name))

    async def check(self) -> None:
        """Return when the folder is there; raise FilesUnavailable when not."""
        if not await trio.Path(self._path).is_dir():
            raise FilesUnavailable("FILES_DIRECTORY is not a folder that can be read")

    def _read(self, file: str) -> bytes:
        try:
            root = self._path.resolve(strict=True)
        except OSError as error:
            raise FilesUnavailable("FILES_DIRECTORY is not a folder that can be read") from error
        try:
            return _read_inside(root, file)
        except (ValueError, RuntimeError) as error:  # NUL, lone surrogates, a circle of links
            raise _not_in_folder(file) from error
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                raise _not_in_folder(file) from error
            raise FilesUnavailable(*_of(file, "could not be read now")) from error


class NoFiles:
    """Stands where no file service is configured."""

    async def fetch(self, reference: AttachmentReference) -> Attachment:
        """Never a file.

        Raises:
            AttachmentRefused: always.
        """
        raise AttachmentRefused(
            *_of(
                reference.file,
                "cannot be fetched: no file service is configured: "
                "set FILE_SERVICE_NAME or FILES_DIRECTORY",
            )
        )

    async def check(self) -> None:
        """There is nothing that could fail."""


def _accept(file: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if status == httpx.codes.OK:
        length = answer.headers.get("content-length", "")
        if length.isdecimal():
            _hold_to_limit(file, int(length))
    elif status == httpx.codes.NOT_FOUND:
        raise AttachmentRefused(*_of(file, "not found: the file service does not have it"))
    elif answer.is_success or answer.is_server_error or status in _TRANSIENT:
        raise FilesUnavailable(*_of(file, "", f"The file service answered {status} for "))
    else:
        raise AttachmentRefused(*_of(file, f"refused: the file service answered {status}"))


async def _content(reference: AttachmentReference, answer: httpx.Response) -> bytes:
    try:
        content = await read_body(answer, LARGEST)
    except TooLarge:
        raise _too_large(reference.file) from None
    except Undecodable:
        rest = "in a coding that cannot be read"
        raise FilesUnavailable(*_of(reference.file, rest, "The file service sent ")) from None
    # Without either header the end of the connection is the end of the file, or a cut.
    framed = "content-length" in answer.headers or "transfer-encoding" in answer.headers
    if not framed and len(content) != reference.size:
        raise FilesUnavailable(*_of(reference.file, "ends", "The file service did not say where "))
    return bytes(content)


def _read_inside(root: Path, file: str) -> bytes:
    # What is asked for counts and not what a link leads to: volumes of Kubernetes are links to
    # files in a folder whose name begins with two dots.
    if any(part.startswith(".") and part not in {".", ".."} for part in Path(file).parts):
        raise _not_in_folder(file)
    path = (root / file).resolve(strict=True)
    if not path.is_relative_to(root) or not stat.S_ISREG(path.stat().st_mode):
        raise _not_in_folder(file)
    # What was a file a moment ago may be a pipe or a link now: neither hangs nor leads out.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _not_in_folder(file)
        _hold_to_limit(file, status.st_size)
        content = opened.read(LARGEST + 1)
    _hold_to_limit(file, len(content))
    return content


def _hold_to_limit(file: str, size: int) -> None:
    if size > LARGEST:
        raise _too_large(file)


def _too_large(file: str) -> AttachmentRefused:
    return AttachmentRefused(*_of(file, f"is larger than 15 MB ({LARGEST} bytes)"))


def _quoted(file: str) -> str:
    """The name as one part of a path; refused when it could not be one."""
    try:
        quoted = quote(file, safe="")
    except UnicodeEncodeError:
        quoted = ""
    if quoted in {"", ".", ".."} or len(quoted) > _QUOTED_LENGTH:
        raise AttachmentRefused(*_of(file, "not found: this cannot be a file's name"))
    return quoted


def _not_in_folder(file: str) -> AttachmentRefused:
    return AttachmentRefused(*_of(file, "not found: FILES_DIRECTORY has no such file"))


def _of(file: str, rest: str, before: str = "") -> tuple[str, str]:
    """A sentence about a file for its caller, with its name, and one for the log, without."""
    article = "an" if before else "An"
    plain = f"{before}{article} attachment {rest}".rstrip()
    return f"{before}{_said(file, first=not before)} {rest}".rstrip(), plain


def _said(file: str, *, first: bool) -> str:
    """How a text names a file: bounded, and on one line."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in file)
    if len(printable) > _NAME_LENGTH:
        printable = printable[:_NAME_LENGTH] + "…"
    return f"{'A' if first else 'a'}ttachment {printable!r}"
