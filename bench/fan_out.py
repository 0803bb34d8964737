"""Fan-out: one dispatch to N users, beside peers that do the same job, turn by turn.

And what durability costs of it: the same with each `journal.fsync`, and with no journal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import Server, answer_of, module, server
from bench.client import post_dispatch, take_tally
from bench.machine import Bystanders, Cost, Meter, cpu_seconds
from bench.part import Options, Part, number, numbers
from bench.peers.node import Node, NoNodeError, find_node
from bench.section import Bar, Row, Say, Section, grouped, of, ratio, table
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch, user_id

CARILLON: Final = "Carillon, one cluster"
CARILLON_IDS: Final = "Carillon, ids listed"
BARE_TRIO: Final = "bare trio loop"
AIOHTTP: Final = "aiohttp, gather"
NODE: Final = "Node.js, fastify and axios"
_LOOPS: Final = {BARE_TRIO: "bench.peers.bare_trio", AIOHTTP: "bench.peers.aiohttp_gather"}
_LEAST: Final = {BARE_TRIO: 0.45, NODE: 1.5}
OFF: Final = "no journal"
_SETTINGS: Final = ("commit", "process", OFF)
_LARGE: Final = 100_000
"""From so many users on, one turn is enough: it lasts minutes."""
_BUSY: Final = 0.9  # of a core: the provider's stand-in was the bottleneck


@dataclass(frozen=True, slots=True)
class FanOut:
    """One contender sent a message each to so many users.

    `provider_share` is what the receiving program used of a core: near 1 it was the bottleneck.
    """

    contender: str
    users: int
    turn: int
    cost: Cost
    provider_share: float
    others_cores: float

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.users / self.cost.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cost.cpu_seconds / self.users * 1e6


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--users",
        dest="sizes",
        metavar="USERS",
        type=numbers,
        default="1000,20000,200000",
        help="numbers of users; from 100,000 on there is one turn only",
    )
    parser.add_argument("--repeat", type=number, default=3, help="turns of each contender")
    parser.add_argument("--no-node", action="store_true", help="leave out the Node.js peer")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    node = _node(options, say)
    runs: list[FanOut] = []
    with _receiver(folder) as receiver:
        for users in options.sizes:
            say(f"filling a store with {users:,} users")
            contenders = _contenders(folder, receiver, users, options.concurrency, node)
            for turn in range(1 if users >= _LARGE else options.repeat):
                for contender, job in contenders.items():
                    runs.append(_run(contender, users, turn, receiver, job))
                    say(f"{contender}, {users:,} users: {runs[-1].per_second:,.0f} messages/s")
    return _fan_out(runs, f"Without Node.js: {node}." if isinstance(node, str) else "")


def _receiver(folder: Path) -> AbstractContextManager[Server]:
    return server(module("bench.services.provider"), folder / "provider.log")


def _node(options: Options, say: Say) -> Node | str:
    """The peer, or why there is none."""
    if options.no_node:
        return "it was not asked for"
    try:
        return find_node(options.cache, say)
    except NoNodeError as error:
        say(f"no Node.js peer: {error}")
        return str(error)


_Seen = tuple[Cost, float, float]
_Job = Callable[[], _Seen]


def _contenders(
    folder: Path, receiver: Server, users: int, concurrency: int, node: Node | str
) -> dict[str, _Job]:
    """What each does; the services have their users then."""
    filled, lines = folder / "filled.db", folder / "users.jsonl"
    fill_store(filled, users)
    everyone = dispatch(clusters=[CLUSTER])
    ids = dispatch(recipients=[user_id(index) for index in range(users)])
    carillon = Carillon(folder, {"sms-service": provider(receiver.url, concurrency)})
    ours = partial(carillon.running, filled)
    found: dict[str, _Job] = {CARILLON: partial(_service, ours, receiver, everyone)}
    found[BARE_TRIO] = partial(_loop, BARE_TRIO, receiver, users, concurrency)
    if isinstance(node, Node):
        node.write_users(lines, users)
        theirs = partial(node.running, lines, receiver.url, concurrency)
        found[NODE] = partial(_service, theirs, receiver, everyone)
    found[AIOHTTP] = partial(_loop, AIOHTTP, receiver, users, concurrency)
    found[CARILLON_IDS] = partial(_service, ours, receiver, ids)
    return found


def _run(contender: str, users: int, turn: int, receiver: Server, job: _Job) -> FanOut:
    """One contender's turn, checked: each message arrived, and arrived once."""
    seen = job()
    take_tally(receiver.url).check_each_once(users)
    return FanOut(contender, users, turn, *seen)


def _service(
    running: Callable[[], AbstractContextManager[Server]],
    receiver: Server,
    body: dict[str, object],
) -> _Seen:
    def dispatched() -> Cost:
        meter = Meter(service.pid)
        post_dispatch(service.url, body)
        return meter.stop()

    with running() as service:
        take_tally(receiver.url)  # of what it warmed up with
        return _seen(receiver, dispatched, service.pid)


def _loop(name: str, receiver: Server, users: int, concurrency: int) -> _Seen:
    job = module(_LOOPS[name], receiver.url, users, concurrency)
    return _seen(receiver, lambda: Cost(**answer_of(job)))


def _seen(receiver: Server, job: Callable[[], Cost], *servers: int) -> _Seen:
    """What a job cost, and meanwhile the receiver's share of a core, and others' cores."""
    bystanders = Bystanders(receiver.pid, *servers)
    before = cpu_seconds(receiver.pid)
    cost = job()
    return cost, (cpu_seconds(receiver.pid) - before) / cost.seconds, bystanders.stop()


def _fan_out(runs: Sequence[FanOut], without: str) -> Section:
    sizes = grouped(runs, lambda run: run.users)
    rows: list[Row] = [
        {
            "users": own[0].users,
            "contender": own[0].contender,
            "messages/s": max(run.per_second for run in own),
            "times bare trio": ratio(own, of(BARE_TRIO, group)),
            "times aiohttp": ratio(own, of(AIOHTTP, group)),
            "times Node.js": ratio(own, of(NODE, group)),
            "CPU µs/message": min(run.cpu_us for run in own),
            "idle MB": median(run.cost.idle_mb for run in own),
            "peak MB": max(run.cost.peak_mb for run in own),
            "provider's core": max(run.provider_share for run in own),
            "others' cores": median(run.others_cores for run in own),
        }
        for group in sizes
        for own in grouped(group, lambda run: run.contender)
    ]
    busy = dict.fromkeys(run.contender for run in runs if run.provider_share > _BUSY)
    texts = [f"The provider's stand-in was the bottleneck of: {name}." for name in busy]
    bars = [
        Bar(f"{group[0].users:,} users, times {base}", found, "at least", least)
        for group in sizes
        for base, least in _LEAST.items()
        if (found := ratio(of(CARILLON, group), of(base, group))) is not None
    ]
    title = "Fan-out: one dispatch to N users over sms"
    return Section(title, [table(rows), without, *texts], runs, bars)


def _durability_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=20_000, help="users of the dispatch")
    parser.add_argument("--repeat", type=number, default=3, help="turns of each setting")


def _measure_durability(options: Options, folder: Path, say: Say) -> Section:
    filled, body = folder / "filled.db", dispatch(clusters=[CLUSTER])
    fill_store(filled, options.users)
    runs: list[FanOut] = []
    with _receiver(folder) as receiver:
        section = provider(receiver.url, options.concurrency)
        plain = Carillon(folder, {"sms-service": section})
        for turn in range(options.repeat):
            for setting in _SETTINGS:
                carillon = (
                    replace(plain, command=module("bench.services.unjournalled"))
                    if setting == OFF
                    else replace(plain, more={"journal": {"fsync": setting}})
                )
                job = partial(_service, partial(carillon.running, filled), receiver, body)
                runs.append(_run(setting, options.users, turn, receiver, job))
                say(f"{setting}: {runs[-1].per_second:,.0f} messages/s")
    return _durability(runs)


def _durability(runs: Sequence[FanOut]) -> Section:
    """Speed and CPU with each setting, the best of the turns, and the share that is left."""
    best = {one: max(of(one, runs), key=lambda run: run.per_second) for one in _SETTINGS}
    rows: list[Row] = [
        {
            "journal": setting if setting == OFF else f"`fsync: {setting}`",
            "messages/s": run.per_second,
            "times without": run.per_second / best[OFF].per_second,
            "CPU µs/message": run.cpu_us,
            "others' cores": run.others_cores,
        }
        for setting, run in best.items()
    ]
    share = ratio(of("commit", runs), of(OFF, runs)) or 0.0
    bar = Bar("messages a second with the journal, times without", share, "at least", 0.7)
    title = f"Durability: one dispatch to {runs[0].users:,} users"
    return Section(title, [table(rows)], runs, [bar])


PART: Final = Part("fan-out", "one dispatch to many users, beside peers", _options, _measure)
DURABILITY: Final = Part(
    "durability", "what the journal costs", _durability_options, _measure_durability
)
