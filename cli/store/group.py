"""`carillon store`: backs up, checks, repairs, resumes and moves the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from carillon.cli.examples import examples
from carillon.cli.options import json_option, named_store, store_option

C = TypeVar("C", bound=Callable[..., object])


def _yes_option(command: C) -> C:
    return click.option("--yes", is_flag=True, help="Do not ask; a script must say so.")(command)


@click.group()
def store() -> None:
    """Back up the store, check it, repair it, let it go on, and move it to MongoDB.

    The store is the SQLite file that STORE_URL names. A store that was restored sends nothing
    until `resume` has told what may be sent twice.
    """


@store.command(
    epilog=examples(
        "carillon store backup /backups/carillon-$(date +%F).db",
        "carillon store backup copy.db --store /var/lib/carillon/carillon.db --json",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@store_option
@json_option
def backup(file: Path, store: str | None, *, as_json: bool) -> None:
    """Copy the store to FILE, as it is at this moment.

    A running service need not be stopped, and is not held up. FILE must not be there yet. It is
    marked as a copy: a service that is started on it is paused until `carillon store resume`.
    """
    from carillon.cli.store.commands import back_up_store

    back_up_store(named_store(store), file, as_json=as_json)


@store.command(epilog=examples("carillon store check", "carillon store check --json | jq .pending"))
@store_option
@json_option
def check(store: str | None, *, as_json: bool) -> None:
    """Say whether the store is whole, whether it is paused, and what in it has not ended.

    Nothing is changed. While a service runs on the store its redo log is not looked at. Exit
    codes: 0 all is well, 1 it is damaged or paused.
    """
    from carillon.cli.store.commands import check_store

    check_store(named_store(store), as_json=as_json)


@store.command(epilog=examples("carillon store repair", "carillon store repair --yes --json"))
@_yes_option
@store_option
@json_option
def repair(store: str | None, *, yes: bool, as_json: bool) -> None:
    """Take up a store whose redo log is damaged or gone, without what it lacks.

    No service may run on it. What is whole of the log is brought into the tables, its files are
    set aside. It says first what may be sent twice, and asks.
    """
    from carillon.cli.store.commands import repair_store

    repair_store(named_store(store), yes=yes, as_json=as_json)


@store.command(epilog=examples("carillon store resume", "carillon store resume --yes --json"))
@_yes_option
@store_option
@json_option
def resume(store: str | None, *, yes: bool, as_json: bool) -> None:
    """Let a paused store go on: one that was restored, or was copied here.

    It says first what was running and what may be sent twice, and asks. A service that runs on the
    store goes on within a second.
    """
    from carillon.cli.store.commands import resume_store

    resume_store(named_store(store), yes=yes, as_json=as_json)


@store.command(epilog=examples("carillon store pause", "carillon store pause --json"))
@store_option
@json_option
def pause(store: str | None, *, as_json: bool) -> None:
    """Let the next start of a service send nothing, until `carillon store resume`.

    For a store that was restored with all of its folder, or with its disk: nothing tells that one
    from what was there before. No service may run on it.
    """
    from carillon.cli.store.commands import pause_store

    pause_store(named_store(store), as_json=as_json)


@store.command(
    epilog=examples(
        "carillon store move mongodb://127.0.0.1:27017/carillon",
        "STORE_MOVE_URL=mongodb://ada:secret@db.internal/carillon carillon store move --json",
    )
)
@click.argument("url", envvar="STORE_MOVE_URL")
@store_option
@json_option
def move(url: str, store: str | None, *, as_json: bool) -> None:
    """Move the store to the MongoDB at URL, and end the use of the file.

    Journal, idempotency keys, events of sagas, live settings with their audit, users and templates
    go along, so nothing is sent again that is repeated with a key, and what is running goes on. No
    service may run on either. When it is interrupted say the same again.

    A URL with a password stands in the list of processes: give it in STORE_MOVE_URL instead.
    """
    from carillon.cli.store.commands import move_store

    move_store(named_store(store), url, as_json=as_json)
