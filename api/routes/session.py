"""Who asks; and for a browser, a cookie in exchange for a key or token."""

import logging
from typing import Annotated, get_args

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.models import Session
from api.security import cookie
from api.security.access import PrincipalDep, access_of, address_of
from api.security.keys import Scope
from api.security.principal import Principal

router = APIRouter(tags=["session"])
logger = logging.getLogger(__name__)


class SignIn(BaseModel):
    """Body of `POST session`."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=8192, description="An API key or a token.")]


@router.get("/session")
async def session(request: Request, principal: PrincipalDep) -> Session:
    """Who asks, and what they may do."""
    return Session(
        authentication=access_of(request).is_required,
        name=principal.name,
        scopes=sorted(principal.scopes, reverse=True),
    )


@router.post("/session")
async def sign_in(request: Request, response: Response, wanted: SignIn) -> Session:
    """Exchange a key or token for the browser's cookie."""
    access = access_of(request)
    principal = await access.of_text(wanted.key, address_of(request))
    response.set_cookie(
        cookie.NAME,
        access.cookies.make(principal),
        max_age=round(cookie.LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    logger.info("audit: %s signed in from %s", principal.name, address_of(request))
    return _session(request, principal)


@router.delete("/session", status_code=204)
async def sign_out(response: Response) -> None:
    """Forget the browser's cookie."""
    response.delete_cookie(cookie.NAME, httponly=True, samesite="strict")


def _session(request: Request, principal: Principal) -> Session:
    scopes = [scope for scope in get_args(Scope) if scope in principal.scopes]
    return Session(authentication=access_of(request).is_required, name=principal.name, scopes=scopes)
