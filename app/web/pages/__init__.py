"""The desk's pages, one room a file."""

from fastapi import APIRouter

from app.web.pages import compare, settings, sign_in

router = APIRouter()
for room in (
    sign_in,
    compare,
    settings,
):
    router.include_router(room.router)
