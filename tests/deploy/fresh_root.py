"""A folder that is the whole file system of a program, as an image of Python is before a build.

It holds this machine's `/usr`, read-only, the interpreter of the tests as `/usr/local`, what pip
has fetched before (a lock's hashes are looked at all the same), and else only what such an image
has. What runs in it has a process namespace of its own, in which it is process 1.
It needs root, as a build does, and Linux.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
_LINKS: Final = ("bin", "sbin", "lib", "lib64")
_CACHE: Final = ".cache/pip"
_FOLDERS: Final = ("usr", "etc", "proc", "dev", "tmp", "var/tmp", "opt", "run", f"root/{_CACHE}")
_FILES: Final = (
    *("ld.so.conf", "ld.so.conf.d", "login.defs", "nsswitch.conf", "resolv.conf", "hosts"),
    *("ssl", "pip.conf", "xdg/pip"),
)
"""Of this machine's `/etc`: its libraries, names of hosts, and where packages come from."""


def why_not() -> str | None:
    """Why none can be made here."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "a root of its own needs unshare, of Linux"
    if os.geteuid() != 0:
        return "a root of its own needs root, as a build of an image does"
    if Path(sys.base_prefix) == Path("/usr"):
        return "a root of its own needs an interpreter apart from the system's"
    return None


class FreshRoot:
    """One such folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        for name in _LINKS:
            (folder / name).symlink_to(f"usr/{name}")
        for name in _FILES:
            _copy(Path("/etc", name), folder / "etc" / name)
        _copy(Path.home() / ".config" / "pip", folder / "root" / ".config" / "pip")
        (folder / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (folder / "etc" / "group").write_text("root:x:0:\n")
        self.run("ldconfig")

    def within(self, path: str) -> Path:
        """A path of the root, as this process sees it."""
        return self.folder / path.lstrip("/")

    def run(self, line: str, environ: Mapping[str, str] | None = None, at: str = "/") -> None:
        """A line of its shell, as root; what it prints is in the error when it fails."""
        command = self.command(["sh", "-ec", line], environ or {}, at=at)
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"

    def command(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        *,
        at: str = "/",
        user: str | None = None,
        writable: Sequence[str] | None = None,
    ) -> list[str]:
        """What runs a program in it: process 1 there, and the only child of `unshare` here.

        Args:
            words: the program and its arguments.
            environ: all of its environment, but where packages come from.
            at: its folder.
            user: `uid:gid`, which may nothing more than its numbers allow; None: root.
            writable: the folders that may be written, where all the rest is read-only.
        """
        program = [
            "env",
            "-i",
            f"PATH={PATH}",
            *_index(),
            *(f"{k}={v}" for k, v in environ.items()),
        ]
        if user is not None:
            uid, gid = user.split(":")
            who = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
            program = ["setpriv", *who, "--bounding-set=-all", "--", *program]
        within = ["sh", "-c", 'cd "$0" && exec "$@"', at, *program, *words]
        mounts = " && ".join(self._mounts(writable))
        line = f"{mounts} && exec chroot {shlex.quote(str(self.folder))} {shlex.join(within)}"
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", line]

    def _mounts(self, writable: Sequence[str] | None) -> list[str]:
        root, prefix = shlex.quote(str(self.folder)), shlex.quote(sys.base_prefix)
        mounts = [f"mount --bind {root} {root}"]
        cache = Path.home() / _CACHE
        if cache.is_dir():
            mounts += [f"mount --bind {shlex.quote(str(cache))} {root}/root/{_CACHE}"]
        if writable is not None:
            mounts += [f"mount --bind {root}{path} {root}{path}" for path in writable]
            mounts += [f"mount -o remount,bind,ro {root}"]
        return [
            *mounts,
            f"mount --bind -o ro /usr {root}/usr",
            f"mount --bind -o ro {prefix} {root}/usr/local",
            f"mount --rbind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
        ]


def _index() -> list[str]:
    """Where packages come from, as this process is told it."""
    names = {"PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT"}
    return [f"{name}={os.environ[name]}" for name in sorted(names & os.environ.keys())]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore_dangling_symlinks=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
