"""The section of an `http` provider as a whole: its keys, their faults, what it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PrivateAttr

from carillon.messages.model import CHANNELS, Channel
from carillon.providers.config import (
    BuildContext,
    Facts,
    Fault,
    MakeEngine,
    ProviderConfig,
    ReadFile,
    ReadVariable,
    needed,
    of_type,
)
from carillon.providers.http.answer import AnswerReader
from carillon.providers.http.keys import (
    AcceptedKeys,
    AnyJson,
    BasicAuthKeys,
    Form,
    Method,
    RuleKeys,
    Secrets,
)
from carillon.providers.http.provider import HttpProvider
from carillon.providers.http.request import Parts, RequestTemplate, origin
from carillon.providers.http.templates import Paths
from carillon.providers.ports import Provider

_LONGEST_SECRET: Final = 65_536
_LONGEST_URL: Final = 2048
_BODIES: Final = {"json_body": "json", "form": "form", "text": "text"}


class HttpConfig(ProviderConfig):
    """Any HTTP API, by configuration."""

    facts = Facts(channels=CHANNELS)

    type: Literal["http"] = of_type("http")
    channels: Annotated[list[Channel], Field(min_length=1)] = needed(
        [], description="What it carries."
    )
    method: Method = Field(default="POST", description="Of the request.")
    url: Annotated[str, Field(max_length=_LONGEST_URL)] = needed(
        "", description="A template, with tags behind the host only; or one secret."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Templates by names.",
        repr=False,
        json_schema_extra={"writeOnly": True},
    )
    auth: BasicAuthKeys | None = Field(default=None, description="Basic authentication.")
    json_body: AnyJson = Field(
        default=None, alias="json", description="The body: JSON in which texts are templates."
    )
    form: Form | None = Field(
        default=None,
        description="The body: fields of a form, which are templates or lists of them.",
        repr=False,
        json_schema_extra={"writeOnly": True},
    )
    text: str | None = Field(default=None, description="The body: one template.")
    secrets: Secrets = Field(
        default_factory=list,
        max_length=100,
        description="Names of environment variables, or objects with `name` and `variable` or "
        "`file`: what templates read as `secret.NAME`.",
    )
    accepted: AcceptedKeys = Field(default_factory=AcceptedKeys)
    rules: list[RuleKeys] = Field(
        default_factory=list,
        max_length=100,
        description="What answers mean; the first that matches counts.",
    )

    _variables: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def carried(self) -> Sequence[Channel]:
        """See `ProviderConfig`."""
        return self.channels

    def faults(self, engine: MakeEngine) -> Iterable[Fault]:
        """See `ProviderConfig`."""
        names = [one.name for one in self.secrets]
        for at, name in enumerate(names):
            if name in names[:at]:
                yield ("secrets", at), f'"{name}" stands there twice; once is allowed'
        bodies = [key for field, key in _BODIES.items() if getattr(self, field) is not None]
        for body in bodies[1:]:
            yield (body,), f"stands beside {bodies[0]}; a request has one body"
        if bodies and self.method == "GET":
            yield ("method",), f"a GET has no body, but there is {bodies[0]}"
        yield from self._template(engine).faults

    def with_variables(self, read: ReadVariable) -> Self:
        """See `ProviderConfig`."""
        found: dict[str, str] = {}
        for at, one in enumerate(self.secrets):
            if one.file is None:
                value = read(one.variable or one.name, ("secrets", at))
                found |= {} if value is None else {one.name: value}
        made = self.model_copy()
        made._variables = found
        return made

    def paths(self, engine: MakeEngine) -> Paths:
        """See `ProviderConfig`."""
        return self._template(engine).paths

    def check(self, read: ReadFile) -> None:
        """See `ProviderConfig`."""
        origin(self.url, self._values(read))

    def addresses(self, read: ReadFile) -> Mapping[str, str]:
        """Scheme, host and port: what stands behind them may be secret."""
        with suppress(ValueError):
            return {"url": origin(self.url, self._values(read))}
        return {}

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        template = self._template(context.engine)
        template.fix(self._values(context.read))
        reader = AnswerReader(context.name, self.accepted, self.rules, template.hidden)
        return HttpProvider(context.name, template, reader, context.wire)

    def _template(self, engine: MakeEngine) -> RequestTemplate:
        auth = None if self.auth is None else (self.auth.user, self.auth.password)
        parts = Parts(
            self.method, self.url, self.headers, auth, self.json_body, self.form, self.text
        )
        return RequestTemplate(parts, engine(), frozenset(one.name for one in self.secrets))

    def _values(self, read: ReadFile) -> Mapping[str, str]:
        """The secrets by their names. Raises ValueError as `build` does."""
        found = dict(self._variables)
        for at, one in enumerate(self.secrets):
            place = f"secrets[{at}]"
            if one.file is not None:
                found[one.name] = _content(one.file, f"{place}.file", read)
            if not found.get(one.name, "").isprintable():
                raise ValueError(f"{place}: the value of {one.name} has control characters")
        return found


def _content(file: Path, key: str, read: ReadFile) -> str:
    """A file's text without the white space around it. Raises ValueError."""
    try:
        text = read(file, _LONGEST_SECRET + 1).decode().strip()
    except OSError as error:
        raise ValueError(f"{key} {file}: {error.strerror or 'it cannot be read'}") from None
    except ValueError:
        raise ValueError(f"{key} {file}: it is no text in UTF-8") from None
    if not 0 < len(text) <= _LONGEST_SECRET:
        raise ValueError(f"{key} {file}: it is empty, or longer than {_LONGEST_SECRET:,} bytes")
    return text
