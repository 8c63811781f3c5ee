"""Static files under a name that changes with them: browsers keep them for good, modules import each other freely."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from app.web import languages

FOLDER = Path(__file__).parent / "static"
FOR_GOOD = "public, max-age=31536000, immutable"
router = APIRouter()
_files = StaticFiles(directory=FOLDER, check_dir=False)


@cache
def digest() -> str:
    """Of all static files and translations: 12 hexadecimal digits."""
    found = hashlib.sha256()
    for path in sorted([*FOLDER.rglob("*"), *languages.FOLDER.rglob("*.po")]):
        if path.is_file():
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def url(path: str) -> str:
    """Where a static file is served, such as `desk.css`."""
    return f"/static/{digest()}/{path}"


@router.get("/static/{version}/messages/{language}.json")
def read_messages(version: Annotated[str, InPath()], language: str) -> Response:
    """The translations that modules use; empty for English, whose texts are the messages."""
    if language not in languages.LANGUAGES:
        raise HTTPException(404, "There is no such language.")
    return JSONResponse(languages.messages(language), headers=_headers(version))


@router.get("/static/{version}/{path:path}")
async def read_static(version: str, path: str, request: Request) -> Response:
    response = await _files.get_response(path, request.scope)
    response.headers.update(_headers(version))
    return response


def _headers(version: str) -> dict[str, str]:
    # A page that was open during an upgrade asks under the old name: it may have the new file, but not keep it.
    return {"Cache-Control": FOR_GOOD if version == digest() else "no-cache"}
