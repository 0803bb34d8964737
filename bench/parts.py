"""The parts of the bench: the options of each, and how it is measured with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import profile
from bench.compare import COMPARED, ComparePlan, measure_compare
from bench.fan_out import DurabilityPlan, FanOutPlan, measure_durability, measure_fan_out
from bench.files import measure_files
from bench.isolation import IsolationPlan, measure_isolation
from bench.kill import KillPlan, measure_kill
from bench.live import LivePlan, measure_live
from bench.million import MillionPlan, measure_million
from bench.peers.node import Node, NoNodeError, find_node
from bench.replicas import ReplicasPlan, measure_replicas
from bench.report import promises, speed
from bench.report.section import FIGURES, Say, Section
from bench.results import Profile
from bench.sagas import SagasPlan, measure_sagas
from bench.small_requests import SmallPlan, measure_small
from bench.store import default_cache

_CALLERS: Final = 16
_SECONDS: Final = 5.0  # of small requests under the sampler


class Options(argparse.Namespace):
    """What was given; a part reads those that it added, and these."""

    json: Path | None
    write: Path | None
    folder: Path | None
    cache: Path
    concurrency: int
    # Of some parts only.
    users: int
    sizes: list[int]
    callers: list[int]
    repeat: int
    seconds: float
    pace: float
    backlog: int
    kills: int
    points: int
    seed: int
    rate: int
    replicas: int
    no_node: bool
    other: Path
    work: str
    pairs: int
    part: str | None


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every part understands."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE too")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        nargs="?",
        const=FIGURES,
        help="write tables and bars between their marks in PAGE, docs/benchmarks.md unless named",
    )
    parser.add_argument("--folder", type=Path, help="where stores are made; else in TMPDIR")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="where large stores and packages stay"
    )
    parser.add_argument("--concurrency", type=number, default=20, help="calls open at once")


def number(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def numbers(text: str) -> list[int]:
    """Such numbers, with commas between."""
    return [number(part) for part in text.split(",")]


def amount(text: str) -> float:
    """More than nothing, fractions too."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its command, what it adds to the options, and how it comes to its section."""

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    measure: Callable[[Options, Path, Say], Section]


def _fan_out_options(parser: argparse.ArgumentParser) -> None:
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


def _fan_out(options: Options, folder: Path, say: Say) -> Section:
    node, why = _node(options, say)
    plan = FanOutPlan(options.sizes, options.repeat, options.concurrency, node)
    return speed.fan_out(list(measure_fan_out(plan, folder, say)), why)


def _node(options: Options, say: Say) -> tuple[Node | None, str | None]:
    if options.no_node:
        return None, "it was not asked for"
    try:
        return find_node(options.cache, say), None
    except NoNodeError as error:
        say(f"no Node.js peer: {error}")
        return None, str(error)


def _small_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--callers", type=numbers, default="1,16,64", help="callers at once")
    parser.add_argument("--seconds", type=amount, default=3.0, help="length of one turn")
    parser.add_argument("--repeat", type=number, default=3, help="turns of each contender")


def _small(options: Options, folder: Path, say: Say) -> Section:
    plan = SmallPlan(options.callers, options.repeat, options.seconds, options.concurrency)
    return speed.small(list(measure_small(plan, folder, say)))


def _sagas_options(parser: argparse.ArgumentParser) -> None:
    _small_options(parser)
    parser.set_defaults(callers="16")


def _sagas(options: Options, folder: Path, say: Say) -> Section:
    plan = SagasPlan(options.callers, options.repeat, options.seconds, options.concurrency)
    return speed.sagas(list(measure_sagas(plan, folder, say)))


def _compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("other", type=Path, help="the other checkout, in the old layout too")
    parser.add_argument("work", choices=list(COMPARED), help="the part that is run")
    parser.add_argument("--pairs", type=number, default=5, help="turns of each checkout")
    parser.add_argument("--users", type=number, default=20_000, help="users of a fan-out")
    parser.add_argument("--callers", type=numbers, default="16", help="callers of the others")
    parser.add_argument("--seconds", type=amount, default=3.0, help="length of their turns")


def _compare(options: Options, folder: Path, say: Say) -> Section:
    plan = ComparePlan(
        options.other,
        options.work,
        options.pairs,
        options.users,
        options.callers[0],
        options.seconds,
        options.concurrency,
    )
    return speed.compared(plan.part, list(measure_compare(plan, folder, say)))


def _isolation_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=amount, default=30.0, help="length of a stall")
    parser.add_argument("--repeat", type=number, default=3, help="turns, each without and with")
    parser.add_argument("--pace", type=amount, default=100.0, help="mails a second")
    parser.add_argument("--backlog", type=number, default=10_000, help="messages that get stuck")


def _isolation(options: Options, folder: Path, say: Say) -> Section:
    plan = IsolationPlan(
        options.seconds, options.repeat, options.pace, options.backlog, options.concurrency
    )
    return promises.isolation(list(measure_isolation(plan, folder, say)))


def _million_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=1_000_000, help="users of the dispatch")
    parser.add_argument("--pace", type=amount, default=20.0, help="small dispatches a second")


def _million(options: Options, folder: Path, say: Say) -> Section:
    plan = MillionPlan(options.users, options.pace, options.concurrency, options.cache)
    return promises.million(measure_million(plan, folder, say))


def _live_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=2000, help="users of the dispatch")
    parser.add_argument("--seconds", type=amount, default=4.0, help="how long a rate stands")


def _live(options: Options, folder: Path, say: Say) -> Section:
    plan = LivePlan(options.users, options.seconds, options.concurrency)
    return promises.live(measure_live(plan, folder, say))


def _durability_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=20_000, help="users of the dispatch")
    parser.add_argument("--repeat", type=number, default=3, help="turns of each setting")


def _durability(options: Options, folder: Path, say: Say) -> Section:
    plan = DurabilityPlan(options.users, options.repeat, options.concurrency)
    return promises.durability(list(measure_durability(plan, folder, say)))


def _kill_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=4000, help="users of the dispatch")
    parser.add_argument("--kills", type=number, default=5, help="kills at random moments")
    parser.add_argument(
        "--points", type=int, default=12, help="users while each point is tried; 0 leaves it out"
    )
    parser.add_argument(
        "--backlog", type=int, default=100_000, help="pending deliveries of one more start"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")


def _kill(options: Options, folder: Path, say: Say) -> Section:
    plan = KillPlan(
        options.users,
        options.kills,
        options.points,
        options.backlog,
        options.concurrency,
        options.seed,
    )
    return promises.kill(list(measure_kill(plan, folder, say)))


def _replicas_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=10_000, help="users of all dispatches")
    parser.add_argument("--rate", type=number, default=500, help="calls a second in all")
    parser.add_argument("--replicas", type=number, default=3, help="processes on one store")
    parser.set_defaults(concurrency=30)


def _replicas(options: Options, folder: Path, say: Say) -> Section:
    plan = ReplicasPlan(options.users, options.rate, options.concurrency, options.replicas)
    return promises.replicas(list(measure_replicas(plan, folder, say)))


def _profile_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=50_000, help="users of the one dispatch")
    parser.add_argument(
        "--seconds", type=amount, default=_SECONDS, help="of small requests of 16 callers"
    )


def _profile(options: Options, folder: Path, say: Say) -> Section:
    works = {
        f"One dispatch to {options.users:,} users": profile.fan_out(options.users),
        f"Small requests of {_CALLERS} callers": profile.small_requests(_CALLERS, options.seconds),
    }
    found: list[Profile] = []
    for name, work in works.items():
        say(f"sampling: {name}")
        users = max(options.users, _CALLERS)
        try:
            found.append(profile.measure_profile(name, work, users, options.concurrency, folder))
        except profile.TracingRefusedError as error:
            return Section(speed.PROFILE, [str(error)], found)
    return speed.profiles(found)


def _no_options(_parser: argparse.ArgumentParser) -> None:
    pass


def _files(_options: Options, folder: Path, say: Say) -> Section:
    say("tracing what one recipient passes")
    return speed.files(measure_files(folder))


PARTS: Final = (
    Part("fan-out", "one dispatch to many users, beside peers", _fan_out_options, _fan_out),
    Part("small", "many requests for one user each", _small_options, _small),
    Part("sagas", "commands of sagas with functions in Python", _sagas_options, _sagas),
    Part(
        "isolation", "one channel while the other's provider stalls", _isolation_options, _isolation
    ),
    Part(
        "million", "memory and small dispatches under a very large one", _million_options, _million
    ),
    Part("live", "a rate that is changed during a dispatch", _live_options, _live),
    Part("durability", "what the journal costs", _durability_options, _durability),
    Part("kill", "a process killed in the middle of a dispatch", _kill_options, _kill),
    Part("replicas", "several replicas, one killed and one stopped", _replicas_options, _replicas),
    Part("profile", "where the CPU of one message goes", _profile_options, _profile),
    Part("files", "how many of our files one recipient passes", _no_options, _files),
)
COMPARE: Final = Part("compare", "this checkout beside another one", _compare_options, _compare)
"""Not one of `all`: it has to be told with which."""
