"""The one place where errors become HTTP: RFC 9457 problem details."""

import errno
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app import errors
from app.api import paths
from app.db import connection_lost
from app.errors import AppError, Unusable, UnusableImage

log = logging.getLogger(__name__)

STATUS: dict[type[AppError], int] = {
    errors.AppError: 500,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.InvalidInput: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
    errors.UnusableImage: 422,
    errors.MixedFeatureSets: 422,
    errors.NotTrainable: 422,
    errors.Taken: 409,
    errors.HeadRefused: 409,
    errors.Cancelled: 409,
    errors.LeaseLost: 409,
    errors.ConfigurationError: 500,
    errors.GoldenCheckFailed: 500,
    errors.DatabaseUnusable: 503,
}
_REASON_STATUS = {
    Unusable.TOO_MANY_BYTES: 413,
    Unusable.TOO_MANY_PIXELS: 413,
    Unusable.TOO_MANY_FRAMES: 413,
    Unusable.UNKNOWN_FORMAT: 415,
}
# Foreign key and unique violations: services check first, so what is left was changed between check and write.
_RACES = {"23503", "23505"}
MEDIA_TYPE = "application/problem+json"


def status_of(error: AppError) -> int:
    if isinstance(error, UnusableImage):
        return _REASON_STATUS.get(error.reason, STATUS[UnusableImage])
    return STATUS[type(error)]


def problem(error: AppError, **extra: Any) -> dict[str, Any]:
    """Problem details (RFC 9457) of an error; `type` is a name, stable and relative to the documentation."""
    status = status_of(error)
    body = {
        "type": f"urn:penumbra:problem:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        **extra,
    }
    if isinstance(error, UnusableImage):
        body["reason"] = error.reason
    if isinstance(error, errors.Taken):
        body |= {"author": error.author, "at": error.at.isoformat()}
    return body


def respond(error: AppError, **extra: Any) -> JSONResponse:
    status = status_of(error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}.get(status)
    return JSONResponse(problem(error, **extra), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeout, _pool_exhausted)
    app.add_exception_handler(OSError, _system_error)
    app.add_exception_handler(Exception, _unexpected)


def _app_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    return respond(error)


def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [{"where": ".".join(str(part) for part in item["loc"]), "message": item["msg"]} for item in error.errors()]
    summary = "; ".join(f"{item['where']}: {item['message']}" for item in found)
    return respond(errors.InvalidInput(summary or "The request is not valid."), errors=jsonable_encoder(found))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, AppError):  # FastAPI wraps what is raised while a body is read
        return respond(error.__cause__)
    if error.status_code == 400:
        return respond(errors.InvalidInput("The body cannot be read as JSON; send UTF-8 within usual bounds."))
    headers = dict(error.headers or {})
    if error.status_code == 405 and (allowed := paths.methods_of(request.app, request.url.path)):
        headers["Allow"] = ", ".join(allowed)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": str(error.detail),
    }
    return JSONResponse(body, error.status_code, headers, media_type=MEDIA_TYPE)


def _database_error(request: Request, error: Exception) -> JSONResponse:
    if connection_lost(error):
        log.warning("%s %s: the database went away: %s", request.method, request.url.path, error)
        return respond(errors.Unavailable("The database does not answer; try again in a moment."))
    if getattr(getattr(error, "orig", None), "pgcode", None) in _RACES:
        return respond(errors.Conflict("Another request changed or deleted the same thing meanwhile; look and retry."))
    return _unexpected(request, error)


def _pool_exhausted(_: Request, __: Exception) -> JSONResponse:
    return respond(errors.Unavailable("The service is busy; try again in a moment."))


def _system_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("%s %s: %s", request.method, request.url.path, error)
        return respond(errors.Unavailable("The disk of the originals is full; free space on it, then send again."))
    return _unexpected(request, error)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return respond(AppError("Penumbra failed on this request; the server's log says why."))
