"""The desk's pages, one room a file."""

from fastapi import APIRouter

from app.web.pages import (
    cleaning,
    compare,
    heads,
    images,
    ingest,
    operations,
    search,
    settings,
    sign_in,
    work,
    worklist,
)

router = APIRouter()
for room in (
    sign_in,
    compare,
    heads,
    images,
    search,
    settings,
    worklist,
    work,
    cleaning,
    ingest,
    operations,
):
    router.include_router(room.router)
