"""Functions of an installation, written to files and loaded as the service loads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

from carillon.sagas.functions import SagaFunctions
from carillon.settings import FlowManagerSettings, MetadataSchema
from carillon.settings.flow.functions import flow_functions

PATIENCE = 10.0
"""Seconds that a function has where its time is not the point."""


@asynccontextmanager
async def loaded(
    template_id: Path | None = None,
    data: Path | None = None,
    *,
    seconds: float = PATIENCE,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[SagaFunctions]:
    """The functions of these files."""
    schema = MetadataSchema(channels=("channels",))
    flow = FlowManagerSettings(schema, template_id_file=template_id, data_file=data)
    functions = await flow_functions(flow, environ, seconds)
    try:
        yield functions
    finally:
        await functions.aclose()


def written(folder: Path, text: str, name: str = "function.py") -> Path:
    """A file with this text, whose lines may be indented."""
    file = folder / name
    file.write_text(dedent(text))
    return file


def get_data(folder: Path, body: str) -> Path:
    """A file with `get_data(event)` of this body."""
    lines = "".join(f"    {line}\n" for line in dedent(body).strip("\n").splitlines())
    return written(folder, f"import os, sys, time\n\n\ndef get_data(event):\n{lines}")
