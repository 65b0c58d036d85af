"""The dashboards: static files, which read the public API and nothing else."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PATH = "/control-plane/torghut/quant"
DIRECTORY = Path(str(files("api"))) / "ui"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
    " font-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A new version is there with the next visit; what did not change is not sent again.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


class Dashboards(StaticFiles):
    """The files of `ui/`, with headers that let nothing run that is not among them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


@router.get("/")
async def root() -> RedirectResponse:
    """A person who opens the bare address wants to see what is here."""
    return RedirectResponse(f"{PATH}/")


def dashboards() -> Dashboards:
    """The application to mount at `PATH`."""
    return Dashboards(directory=DIRECTORY, html=True)
