"""API keys: the commands `jangar-quant keys ...`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from api.security.keys import Key, Scope, add_key, read_keys, write_keys
from orchestration.alerts.actions import parse_length
from orchestration.errors import UserError
from orchestration.settings import get_settings
from orchestration.transform.frame import stamp

keys = typer.Typer(
    help="Make, list and revoke the API's keys. With the first one everybody needs one.", no_args_is_help=True
)


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the person or program that gets it.")],
    scope: Annotated[Scope, typer.Option(help="operate: may acknowledge and silence, too.")] = "read",
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="How long it is valid; default: until revoked.")
    ] = None,
) -> None:
    """Make a key and print it once. Two of a name may be valid, so that one can take the other's place."""
    path = get_settings().keys_file
    text, key = add_key(path, name, scope, timedelta(days=days) if days else None)
    typer.echo(text)
    typer.echo(f"Key {key.id} of {name} ({scope}). It is not shown again; {path} holds its hash.", err=True)


@keys.command("list")
def list_keys() -> None:
    """List the keys, without what makes them valid."""
    now = datetime.now(UTC)
    console = Console(highlight=False)
    found = read_keys(get_settings().keys_file)
    if not found:
        console.print("No keys: on loopback nobody is asked, elsewhere the API does not start.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "scope", "made", "valid until"):
        table.add_column(column)
    for key in sorted(found, key=lambda key: (key.name, key.created_at)):
        until = stamp(key.expires_at) if key.expires_at else "revoked by hand"
        state = until if key.is_valid(now) else f"{until} (expired)"
        table.add_row(key.id, key.name, key.scope, stamp(key.created_at), state)
    console.print(table)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of a key, or the name of which all keys go.")],
    after: Annotated[str, typer.Option("--in", help="Only after this: 30m, 2h or 1d.")] = "",
) -> None:
    """Make a key invalid, everywhere within a second."""
    path = get_settings().keys_file
    found = read_keys(path)
    gone = [one for one in found if key in (one.id, one.name)]
    if not gone:
        raise UserError(f"There is no key {key}.", "`jangar-quant keys list` shows them.")
    until = datetime.now(UTC) + parse_length(after) if after else None
    write_keys(path, [one for one in (_ending(one, until) if one in gone else one for one in found) if one])
    typer.echo(
        f"{len(gone)} key{'s' * (len(gone) > 1)} of {gone[0].name} "
        + (f"until {stamp(until)}." if until else "revoked.")
    )


def _ending(key: Key, until: datetime | None) -> Key | None:
    return key.model_copy(update={"expires_at": until}) if until else None
