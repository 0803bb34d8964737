"""A mail server that delivers: OpenSMTPD of Debian, into a maildir, in a root of its own.

Without TLS: the one that Debian 12 builds fails in the handshake of STARTTLS, for RSA and EC keys.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from carillon.messages.model import Accepted, Attachment, MailExtras, Refused
from carillon.providers.smtp.provider import Smtp
from carillon.providers.smtp.server import smtp_server
from tests.docs.pages import ROOT
from tests.docs.session import free_ports
from tests.providers.deliveries import Starts, email
from tests.providers.mail.readers import by_python

UNPACKED = ROOT / ".opensmtpd-test" / "root"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PROGRAMS = ("usr/sbin/smtpd", "usr/libexec/opensmtpd/mail.maildir")
MAIL = 992
USERS = f"""root:x:0:0::/:/bin/sh
opensmtpd:x:990:990::/var/lib/opensmtpd/empty:/bin/false
opensmtpq:x:991:991::/var/lib/opensmtpd/empty:/bin/false
vmail:x:{MAIL}:{MAIL}::/home:/bin/sh
"""
GROUPS = f"root:x:0:\nopensmtpd:x:990:\nopensmtpq:x:991:\nvmail:x:{MAIL}:\n"

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(os.getuid() != 0, reason="OpenSMTPD must be started by root"),
    pytest.mark.skipif(
        not (UNPACKED / PROGRAMS[0]).exists(),
        reason="./dev test puts OpenSMTPD into .opensmtpd-test on Debian",
    ),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with OpenSMTPD, its users, and what its programs load."""
    folder = tmp_path / "root"
    shutil.copytree(UNPACKED, folder, symlinks=True)
    tmp_path.chmod(0o755)
    for at in (folder, *(one for one in folder.rglob("*") if one.is_dir())):
        at.chmod(0o755)
    for program in (*(folder / one for one in PROGRAMS), Path("/bin/sh")):
        environ = {**os.environ, "LD_LIBRARY_PATH": str(folder / LIBRARIES)}
        told = subprocess.run(
            ["ldd", program], env=environ, capture_output=True, text=True, check=False
        )
        for library in re.findall(r"(/\S+) \(", told.stdout):
            place = folder / library.removeprefix(str(folder)).lstrip("/")
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, place)
    for name in ("bin", "dev", "home", "var/run", "var/mail", "var/spool/smtpd", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "dev/null").touch(0o666)
    (folder / "dev/null").chmod(0o666)
    shutil.copy("/bin/sh", folder / "bin/sh")
    (folder / "var/spool/smtpd").chmod(0o711)
    (folder / "etc/passwd").write_text(USERS)
    (folder / "etc/group").write_text(GROUPS)
    os.chown(folder / "home", MAIL, MAIL)
    return folder


@pytest.fixture
def opensmtpd(root: Path) -> Iterator[int]:
    """A running server; its port."""
    (port,) = free_ports(1)
    (root / "etc/smtpd.conf").write_text(
        f"listen on 127.0.0.1 port {port} hostname mail.test\n"
        'action "local" maildir "/home/Maildir" user vmail\n'
        'match from any for domain "ok.test" action "local"\n'
    )
    command = ["chroot", str(root), "/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"]
    with (root.parent / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    yield port
    server.terminate()
    server.wait(30)


async def test_it_delivers_what_it_takes_and_refuses_the_rest(opensmtpd: int, root: Path) -> None:
    smtp = Smtp(smtp_server(f"smtp+plain://127.0.0.1:{opensmtpd}"))
    with trio.fail_after(30):
        while await smtp.reach() is not None:
            await trio.sleep(0.05)
    texts = ["Your order left.\n.\n..", "Perch\u00e9?"]
    names = []
    for text in texts:
        accepted = await smtp.send(email(text, "vmail@ok.test"), Starts())
        assert isinstance(accepted, Accepted)
        names.append(accepted.message_id)
    assert len({*names}) == 2
    assert None not in names
    for address in ("vmail@no.test", "nobody@ok.test"):
        refused = await smtp.send(email(address=address), Starts())
        why = "smtp answered 550 to RCPT: Invalid recipient: <[address]>"
        assert refused == Refused(why)
    files = [Attachment("a.bin", bytes(range(256)) * 400)]
    copied = email("Copied", "vmail@ok.test", MailExtras(["a@no.test"], [], files))
    assert isinstance(await smtp.send(copied, Starts()), Accepted)
    await smtp.aclose()
    delivered = root / "home" / "Maildir" / "new"
    with trio.fail_after(30):
        while not delivered.exists() or len([*delivered.iterdir()]) < 3:
            await trio.sleep(0.05)
    found = [by_python(crlf(one.read_bytes())) for one in delivered.iterdir()]
    assert {(one.text or "").rstrip("\n") for one in found} == {*texts, "Copied"}
    assert [file.content for one in found for file in one.files] == [files[0].content]


def crlf(message: bytes) -> bytes:
    """As it came: a maildir has the line breaks of the system."""
    return message.replace(b"\n", b"\r\n")
