"""`/docs`: the API's reference for people, with no file from elsewhere, for an air-gapped site has no CDN.

FastAPI's own page loads its script from one, and `FastAPIOffline`, whose files these are, makes functions that hold
their app: FastAPI remembers those, so no app was ever freed, and a process that made many was full of them.
"""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

FILES = "/static-offline-docs"

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def show_documentation(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    return get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=f"{request.app.title} - API",
        swagger_js_url=f"{root}{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}{FILES}/favicon.png",
    )


def install(app: FastAPI) -> None:
    app.include_router(router)
    app.mount(FILES, StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")), name="documentation")
