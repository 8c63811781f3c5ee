"""The desk's pages, one room a file."""

from fastapi import APIRouter

from app.web.pages import compare, heads, images, settings, sign_in, work, worklist

router = APIRouter()
for room in (
    sign_in,
    compare,
    heads,
    images,
    settings,
    worklist,
    work,
):
    router.include_router(room.router)
