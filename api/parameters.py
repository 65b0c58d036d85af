"""Refuses parameters that a route does not have: a misspelt filter would pass for a whole answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.errors import ApiError


async def refuse_unknown_parameters(request: Request) -> None:
    """Check the names of the query string against those of the route.

    Raises:
        ApiError: 400, one is not known, or stands there twice and takes one value.
    """
    route: APIRoute = request.scope["route"]
    known = _parameters(route)
    for name, times in Counter(key for key, _ in request.query_params.multi_items()).items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ApiError(400, f"{name[:64]}: there is no such parameter.", f"Parameters: {names}.")
        if times > 1 and not known[name]:
            raise ApiError(400, f"{name}: is there {times} times.", "Give it once.")


_known: dict[Callable[..., Any], dict[str, bool]] = {}


def _parameters(route: APIRoute) -> dict[str, bool]:
    """The parameters of a route, and whether each may be repeated."""
    known = _known.get(route.endpoint)
    if known is None:
        known = _known[route.endpoint] = {
            field.alias: "list" in str(field.field_info.annotation)
            for dependant in _dependants(route.dependant)
            for field in dependant.query_params
        }
    return known


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for below in dependant.dependencies:
        yield from _dependants(below)
