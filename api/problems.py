"""The body of every error, and what OpenAPI says of the errors of a route."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Body of every error: problem details of RFC 9457, and what to do about it."""

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="Phrase of the status.")
    status: int
    detail: str = Field(description="What is wrong; names the parameter where it is one.")
    ok: Literal[False] = False
    message: str = Field(description="As `detail`.")
    remedy: str = Field(description="What to do about it; may be empty.")


_MEANINGS = {
    400: "A parameter is malformed, unknown or out of its bounds; `detail` names it.",
    401: "Who asks is not known.",
    403: "Who asks may not do this.",
    404: "There is no such thing.",
    429: "Too many requests of one client.",
    500: "The API failed.",
    503: "The warehouse does not answer, or there is nothing yet.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the errors of a route, on top of those that each has."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": _MEANINGS[status],
            "content": content,
            **({"headers": RETRY_AFTER} if status in (429, 503) else {}),
        }
        for status in sorted({400, 401, 429, 500, 503, *statuses})
    }
