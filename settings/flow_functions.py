"""The files of `getTemplateIdFilePath` and `getDataFilePath`: loaded once, at the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from messages.saga.functions import Function, SagaFunctions
from settings.errors import ConfigurationError
from settings.flow_javascript import NoEngine, Unusable, javascript
from settings.model import FlowManagerSettings


def flow_functions(flow: FlowManagerSettings) -> SagaFunctions:
    """The functions that are configured, ready to be called.

    Raises:
        ConfigurationError: With the key, the file and the line of everything that is wrong.
    """
    problems: list[str] = []
    template_id = _loaded(
        "getTemplateIdFilePath", flow.template_id_file, "get_template_id", problems
    )
    data = _loaded("getDataFilePath", flow.data_file, "get_data", problems)
    if problems:
        raise ConfigurationError(problems)
    return SagaFunctions(template_id, data)


class _Wrong(Exception):
    """The file gives no function; the text says why."""


def _loaded(key: str, path: Path | None, name: str, problems: list[str]) -> Function | None:
    try:
        return None if path is None else _load(path, name)
    except _Wrong as wrong:
        problems.append(f"flowManagerConfiguration.{key}: {wrong}")
        return None


def _load(path: Path, name: str) -> Function:
    if path.suffix in (".js", ".cjs"):
        return _load_javascript(path, name)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise _Wrong(f"{path} cannot be read: {error.strerror}") from None
    except SyntaxError as error:
        raise _Wrong(f"{path}, line {error.lineno}: {error.msg}") from None
    except ValueError as error:  # zero bytes, which are no text
        raise _Wrong(f"{path}: {error}") from None
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(code, module.__dict__)  # noqa: S102 - it is the installation's own code
    except BaseException as error:
        line = next(
            (f.lineno for f in extract_tb(error.__traceback__) if f.filename == str(path)), 0
        )
        raise _Wrong(f"{path}, line {line}: {type(error).__name__}: {error}") from None
    return _function(path, module, name)


def _load_javascript(path: Path, name: str) -> Function:
    try:
        return javascript(path)
    except NoEngine:
        raise _Wrong(
            f"{path} is JavaScript, and no engine is installed; install it with "
            f'"pip install carillon[javascript]", or write a Python file with {name}(event)'
        ) from None
    except OSError as error:
        raise _Wrong(f"{path} cannot be read: {error.strerror}") from None
    except Unusable as error:
        raise _Wrong(f"{path}{error}") from None


def _function(path: Path, module: ModuleType, name: str) -> Function:
    function: Callable[..., object] | None = getattr(module, name, None)
    if not callable(function):
        raise _Wrong(f"{path} has no function {name}(event)")
    return function
