"""The one shape of every error: problem details (RFC 9457), with `ok` as in a success, and what to do about it."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.description import allowed_methods
from api.problems import Problem
from orchestration.errors import UserError
from orchestration.logs import redact

logger = logging.getLogger(__name__)


class WarehouseUnavailable(Exception):
    """The warehouse cannot be reached, or refused a query of ours."""


class ApiError(Exception):
    """An answer other than success: its HTTP status and what to tell the caller."""

    def __init__(
        self,
        status: int,
        message: str,
        remedy: str = "",
        *,
        headers: dict[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.remedy = remedy
        self.headers = {**(headers or {}), **({"Retry-After": str(retry_after)} if retry_after else {})}


def _answer(status: int, message: str, remedy: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=message, message=message, remedy=remedy
    ).model_dump()
    return JSONResponse(problem, status_code=status, headers=headers, media_type="application/problem+json")


def install_error_handlers(app: FastAPI) -> None:
    """Make every failure of `app` answer in the one shape."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return _answer(error.status, error.message, error.remedy, error.headers)

    @app.exception_handler(UserError)
    async def mistaken(request: Request, error: UserError) -> JSONResponse:
        return _answer(400, error.message, error.remedy)

    @app.exception_handler(WarehouseUnavailable)
    async def unavailable(request: Request, error: WarehouseUnavailable) -> JSONResponse:
        # The caller learns that it failed; only the log learns how, since the text may name hosts and tables.
        logger.error("query for %s failed: %s", request.url.path, redact(str(error))[:2000])
        return _answer(
            503,
            "The warehouse did not answer this query.",
            "Try again; if it persists, see /api/torghut/trading/control-plane/quant/health and the API's log.",
            {"Retry-After": "2"},
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or "request"
        return _answer(400, f"{name}: {first['msg']}.", "See /openapi.json for the parameters.")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "The API failed.", "Its log has the cause; please report it.")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(allowed_methods(app, request.url.path))
        return _answer(error.status_code, str(error.detail), headers=headers)
