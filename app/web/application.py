"""The desk's part of the composition root: pages, static files, error pages, headers."""

from fastapi import FastAPI

from app.web import pages, problem_pages
from app.web.security import Shield
from app.web.static import router as static_router


def install(app: FastAPI) -> None:
    """Serve the desk beside the API. Call it when the API's error handlers are in place: pages show what those say."""
    app.include_router(static_router, include_in_schema=False)
    app.include_router(pages.router, include_in_schema=False)
    problem_pages.install(app)
    app.add_middleware(Shield)
