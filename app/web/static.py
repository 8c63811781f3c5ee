"""Static files under a name that changes with them: browsers keep them for good, modules import each other freely."""

import gzip
import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from app.web import languages

FOLDER = Path(__file__).parent / "static"
_TEXTS = {"text/javascript", "application/javascript", "text/css", "image/svg+xml"}
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
def read_messages(version: Annotated[str, InPath()], language: str, request: Request) -> Response:
    """The translations that modules use; empty for English, whose texts are the messages."""
    if language not in languages.LANGUAGES:
        raise HTTPException(404, "There is no such language.")
    return _text(_messages(language), "application/json", version, request)


@router.get("/static/{version}/{path:path}")
async def read_static(version: str, path: str, request: Request) -> Response:
    response = await _files.get_response(path, request.scope)
    if isinstance(response, FileResponse) and response.media_type in _TEXTS and request.method == "GET":
        return _text(Path(response.path).read_bytes(), response.media_type, version, request)
    response.headers.update(_headers(version))
    return response


@cache
def _messages(language: str) -> bytes:
    return json.dumps(languages.messages(language), ensure_ascii=False).encode()


def _text(content: bytes, media_type: str, version: str, request: Request) -> Response:
    """A text, a third of its size where the browser reads gzip."""
    headers = {**_headers(version), "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = _compressed(content)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=media_type, headers=headers)


@lru_cache(maxsize=256)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _headers(version: str) -> dict[str, str]:
    # A page that was open during an upgrade asks under the old name: it may have the new file, but not keep it.
    return {"Cache-Control": FOR_GOOD if version == digest() else "no-cache"}
