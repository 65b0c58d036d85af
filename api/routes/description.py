"""GET /docs: the OpenAPI description as a page, whose files come from this machine, never from a network of others."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_FILES = Path(fastapi_offline.__file__).parent / "static"
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;" + (
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>jangar-quant API</title>
<link rel="icon" href="/docs/files/favicon.png">
<link rel="stylesheet" href="/docs/files/swagger-ui.css">
<div id="api"></div>
<script src="/docs/files/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null});\n'


@router.get("/docs")
async def page() -> HTMLResponse:
    """The description for people."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/start.js")
async def start() -> Response:
    """What the page runs: a file, since nothing inline is."""
    return Response(_START, media_type="text/javascript")


def serve_files(app: FastAPI) -> None:
    """Serve the files of the page."""
    app.mount("/docs/files", StaticFiles(directory=_FILES))
