"""The files of `getTemplateIdFilePath` and `getDataFilePath`: loaded once, at the start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import decode_source, find_spec
from pathlib import Path
from typing import Final

from carillon.messages.errors import TryLater
from carillon.providers.config import variables
from carillon.providers.registry import TYPES
from carillon.sagas.function_pool import SECONDS, FunctionPool, Program
from carillon.sagas.function_process import FunctionFile
from carillon.sagas.functions import Function, SagaFunctions
from carillon.settings.environment import VARIABLES
from carillon.settings.errors import ConfigurationError
from carillon.settings.file.opening import read_start
from carillon.settings.model import FlowManagerSettings

_SECRETS: Final = frozenset(
    {"API_KEYS", "CARILLON_API_KEY", "KAFKA_PASSWORD", "STORE_URL"}
    | {one.name for kind in TYPES.values() for one in variables(kind) if one.secret}
)
_MOST: Final = 4 * 1024 * 1024
_JAVASCRIPT: Final = (".js", ".cjs")


async def flow_functions(
    flow: FlowManagerSettings,
    environ: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> SagaFunctions:
    """The functions that are configured, loaded in their process and ready to be called.

    `environ` is what they see of the environment, by default this process's without the secrets
    of ours; `seconds` is how long a call may take. The caller closes what it gets.

    Raises:
        ConfigurationError: With the key, the file and the line of everything that is wrong.
    """
    seen = _seen(os.environ) if environ is None else environ
    problems: dict[str, str] = {}
    wanted = [
        *_wanted("getTemplateId", flow.template_id_file, "get_template_id", problems),
        *_wanted("getData", flow.data_file, "get_data", problems),
    ]
    found: dict[str, Function] = {}
    for folder in dict.fromkeys(one.folder for one in wanted):
        together = [one for one in wanted if one.folder == folder]
        pool = FunctionPool(_program(together, seen), seconds)
        for place, one in enumerate(together):
            found[one.name] = Function(pool, place, one.name)
    functions = SagaFunctions(found.get("getTemplateId"), found.get("getData"))
    try:
        await _load(wanted, found, problems)
    except BaseException:
        await functions.aclose()
        raise
    return functions


async def check_flow_functions(flow: FlowManagerSettings) -> None:
    """Load the functions that are configured and let them go again. Raises ConfigurationError."""
    functions = await flow_functions(flow)
    await functions.aclose()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A function of the configuration; `name` is the reference's."""

    name: str
    folder: str
    file: FunctionFile


class _Wrong(Exception):
    """The file gives no function; the text says why."""


def _seen(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without keys, passwords, and addresses of ours that hold some."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _SECRETS and not (name in VARIABLES and "@" in value)
    }


def _wanted(
    name: str, path: Path | None, python_name: str, problems: dict[str, str]
) -> Sequence[_Wanted]:
    if path is None:
        return []
    try:
        source = _source(path, python_name)
    except _Wrong as wrong:
        problems[name] = str(wrong)
        return []
    file: FunctionFile = {"name": python_name, "file": str(path), "source": source}
    return [_Wanted(name, str(path.absolute().parent), file)]


def _source(path: Path, python_name: str) -> str:
    is_javascript = path.suffix in _JAVASCRIPT
    if is_javascript and find_spec("quickjs") is None:
        raise _Wrong(
            f"{path} is JavaScript, and no engine is installed; install it: "
            "pip install 'carillon-messaging[javascript]'; or write a Python file with "
            f"{python_name}(event)"
        )
    try:
        content = read_start(path, _MOST + 1)
    except OSError as error:
        raise _Wrong(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MOST:
        raise _Wrong(f"{path} is larger than {_MOST:,} bytes")
    if is_javascript:
        return content.decode("utf-8-sig", errors="replace")
    try:
        return decode_source(content)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise _Wrong(f"{path} is no text: {error}") from None


def _program(together: Sequence[_Wanted], environ: Mapping[str, str]) -> Program:
    """The functions of one folder: they share processes and, with them, their modules."""
    path = [entry for entry in sys.path if entry]
    functions = [one.file for one in together]
    return Program({"folder": together[0].folder, "path": path, "functions": functions}, environ)


async def _load(
    wanted: Sequence[_Wanted], found: Mapping[str, Function], problems: dict[str, str]
) -> None:
    """Load every file once, and raise ConfigurationError for all that is wrong."""
    for pool in {function.pool for function in found.values()}:
        here = [one for one in wanted if found[one.name].pool is pool]
        try:
            said = await pool.load()
        except TryLater as error:
            said = [f" cannot be loaded: {error}"] * len(here)
        for one, problem in zip(here, said, strict=True):
            if problem is not None:
                problems[one.name] = f"{one.file['file']}{problem}"
    if problems:
        raise ConfigurationError(
            [
                f"flowManagerConfiguration.{name}FilePath: {problems[name]}"
                for name in ("getTemplateId", "getData")
                if name in problems
            ]
        )
