"""What `carillon store` does with an embedded store."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from carillon.cli.failure import BadInput, Failure, of_the_store
from carillon.cli.options import named_store
from carillon.cli.progress import bar, spinner
from carillon.cli.store.report import Report, print_report, told, twice
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.sqlite.backup import back_up
from carillon.stores.sqlite.database import only_server, open_store
from carillon.stores.sqlite.journal.redo_log import log_paths
from carillon.stores.sqlite.journal.tables import JournalTables
from carillon.stores.sqlite.left import Left, what_is_left, what_is_wrong
from carillon.stores.sqlite.life import (
    Standing,
    TakenUp,
    begin_life,
    bring_logs,
    examine,
    has_moved,
    lacking,
    pause,
    read_life,
    resume,
    set_foreign_wal_aside,
    take_up,
    why_paused,
)


def back_up_store(store: Path | MongoUrl, target: Path, *, as_json: bool) -> None:
    """Copy the store to a file."""
    path = embedded(store)
    with opened(path) as (connection, is_served):
        file = path.resolve()
        with bar("Copying", 100) as show:
            back_up(
                connection,
                lambda: (
                    lacking(file, connection) if is_served else examine(file, connection).groups
                ),
                target,
                lambda done, of: show(100 * done // max(of, 1)),
            )
        number = read_life(connection).number
    size = target.stat().st_size
    if as_json:
        click.echo(json.dumps({"store": str(path), "backup": str(target), "bytes": size}))
    else:
        click.echo(f"Copied {path} (life {number:,}) to {target}: {size:,} bytes.")


def check_store(store: Path | MongoUrl, *, as_json: bool) -> None:
    """Print the state of the store. Raises Failure afterwards if it is damaged or paused."""
    path = embedded(store)
    with opened(path) as (connection, is_served):
        with spinner("Reading the store"):
            wrong = what_is_wrong(connection)
        life = read_life(connection)
        standing = None if is_served else examine(path.resolve(), connection)
        report = Report(
            str(path),
            life.number,
            is_served,
            wrong,
            None if standing is None else standing.damage,
            life.paused if standing is None else standing.doubt,
            what_is_left(connection) if standing is None else _left(connection, standing),
        )
    print_report(report, as_json=as_json)
    if not report.is_well:
        sys.exit(1)


def resume_store(store: Path | MongoUrl, *, yes: bool, as_json: bool) -> None:
    """Let a paused store go on, once the operator has seen what that means."""
    path = embedded(store)
    with opened(path) as (connection, is_served):
        if not is_served:
            _close(begin_life(path, connection, sync=True))
        why = why_paused(connection)
        if why is None:
            _say(path, "resumed", f"The store {path} is not paused.", done=False, as_json=as_json)
            return
        left = what_is_left(connection)
        if not as_json:
            click.echo(f"The store {path} is paused: {why}.")
            told(left)
        _ask(twice(left), "Let it go on?", yes=yes)
        resume(connection)
    text = "Resumed. A service that runs on it goes on within a second; else start one."
    _say(path, "resumed", text, done=True, as_json=as_json)


def pause_store(store: Path | MongoUrl, *, as_json: bool) -> None:
    """Let the next start send nothing."""
    path = embedded(store)
    with owned(path) as connection:
        _close(begin_life(path, connection, sync=True))
        pause(connection, "`carillon store pause` asked for it")
    text = f"Paused {path}. `carillon store resume` lets it go on."
    _say(path, "paused", text, done=True, as_json=as_json)


def repair_store(store: Path | MongoUrl, *, yes: bool, as_json: bool) -> None:
    """Take up a store without what its redo log lacks."""
    path = embedded(store)
    with owned(path) as connection:
        wrong = what_is_wrong(connection)
        if wrong:
            raise Failure(f"The tables of {path} are damaged: {wrong[0]}; put back a backup of it")
        bring_logs(path)
        standing = examine(path.resolve(), connection)
        if standing.damage is None:
            text = f"Nothing of {path} has to be repaired."
            _say(path, "repaired", text, done=False, as_json=as_json)
            return
        left = _left(connection, standing)
        if not as_json:
            click.echo(f"The store {path} is not taken up: {standing.damage}.")
            told(left)
        _ask(twice(left), "Go on without what is lost?", yes=yes)
        _close(take_up(path.resolve(), connection, _without_log(path, standing), sync=True))
    text = "Repaired: what was whole of the log is in the tables, and its files are set aside."
    _say(path, "repaired", text, done=True, as_json=as_json)


def move_store(store: Path | MongoUrl, url: str, *, as_json: bool) -> None:
    """Move the store to a MongoDB. What was interrupted goes on."""
    from carillon.cli.store.boards import boards_of
    from carillon.messages.clock import milliseconds
    from carillon.stores.mongodb.client import connected
    from carillon.stores.mongodb.move import move

    target = named_store(url)
    if not isinstance(target, MongoUrl):
        raise BadInput("URL must name a MongoDB, such as mongodb://host:port/database")
    path = embedded(store)
    with owned(path, moved=True) as connection, connected(target) as client:
        if not has_moved(connection):
            _close(begin_life(path, connection, sync=True))
            if (why := why_paused(connection)) is not None:
                raise Failure(f"The store {path} is paused: {why}; `carillon store resume` first")
        with bar("Moving", 100) as show:
            found = move(
                connection,
                client,
                target,
                boards_of(connection, milliseconds()),
                lambda n, of: show(100 * n // max(of, 1)),
            )
    if as_json:
        click.echo(json.dumps({"store": str(path), "moved": str(target), "documents": found}))
        return
    click.echo(
        f"Moved {path} to {target}: {found['dispatches']:,} dispatches, {found['deliveries']:,} "
        f"deliveries, {found['idempotencyKeys']:,} keys, {found['events']:,} events."
    )
    click.echo("Name it in STORE_URL; no service starts on the file any more.")


def embedded(store: Path | MongoUrl) -> Path:
    """The file of an embedded store. Raises BadInput for a MongoDB, Failure for no store."""
    if isinstance(store, MongoUrl):
        raise BadInput(
            f"{store} is a MongoDB; its own tools, such as mongodump, back it up and check it"
        )
    if not store.exists():
        raise Failure(f"There is no store at {store}")
    return store


@contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """A connection, and whether a service uses the store; if not, none can start meanwhile.

    An error within the body becomes one sentence. Raises Failure.
    """
    with _one_sentence(path), ExitStack() as stack:  # the lock must outlive the connection
        try:
            stack.enter_context(only_server(path))
        except StoreError:
            is_served = True
        else:
            is_served = False
            set_foreign_wal_aside(path)
        yield stack.enter_context(closing(open_store(path))), is_served


@contextmanager
def owned(path: Path, *, moved: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to a store that no service uses; with `moved`, also to one that has moved."""
    with _one_sentence(path), only_server(path):
        set_foreign_wal_aside(path)
        with closing(open_store(path, moved=moved)) as connection:
            yield connection


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise of_the_store(error) from None
    except (OSError, sqlite3.Error) as error:
        raise Failure(f"The store {path} cannot be used: {error}") from None


def _left(connection: sqlite3.Connection, standing: Standing) -> Left:
    """What has not ended, with what the log has and the tables lack."""
    with JournalTables(connection).supposing(standing.groups):
        return replace(what_is_left(connection), lost=standing.lost)


def _close(taken: TakenUp) -> None:
    taken.log.close()
    taken.mark.close()


def _without_log(path: Path, standing: Standing) -> Standing:
    return replace(standing, damage=None, aside=log_paths(path.resolve()))


def _ask(what: str, question: str, *, yes: bool) -> None:
    """Continue only if the operator confirms. Raises BadInput if there is no terminal to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput(f"{what} Say --yes to go on")
    click.echo(what)
    click.confirm(question, abort=True)


def _say(path: Path, what: str, text: str, *, done: bool, as_json: bool) -> None:
    click.echo(json.dumps({"store": str(path), what: done}) if as_json else text)
