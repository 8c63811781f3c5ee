"""The REST API: one router a noun."""

from fastapi import APIRouter

from app.api import heads, images, jobs, operations, predict, search, tasks, trials

router = APIRouter(prefix="/v1")
for part in (images, predict, search, tasks, heads, jobs, operations, trials):
    router.include_router(part.router)
