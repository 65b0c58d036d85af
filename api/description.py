"""The OpenAPI description: what FastAPI derives from the routes, with the one shape of errors in place of its own."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import Problem

_THEIRS = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        for name in _THEIRS:
            schemas.pop(name, None)
        schemas["Problem"] = Problem.model_json_schema()
        for path in schema["paths"].values():
            for operation in path.values():
                # What is not valid is answered with 400.
                operation["responses"].pop("422", None)
        app.openapi_schema = schema
    return app.openapi_schema


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """The methods that a path takes: a route that does not take one knows its own only."""
    return [
        method.upper()
        for template, methods in describe(app)["paths"].items()
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path)
        for method in methods
    ]


if __name__ == "__main__":
    import json

    from api.app import create_app
    from orchestration.settings import Settings

    print(json.dumps(create_app(Settings()).openapi(), indent=2))
