"""Which documented path a request went to.

The routing scope does not say: an included router's route knows its path without the prefix,
and a 405 knows only the methods of the first route that has the path.
"""

import re
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

Documented = tuple[re.Pattern[str], str, set[str]]
# Held by nobody's cache but its app: an app that nobody uses any more goes, and all that it holds with it.
_of: WeakKeyDictionary[FastAPI, list[Documented]] = WeakKeyDictionary()


def _documented(app: FastAPI) -> list[Documented]:
    if app not in _of:
        _of[app] = list(_read(app))
    return _of[app]


def _read(app: FastAPI) -> Iterator[Documented]:
    """From the routes and not from the OpenAPI document, which takes half a second that other requests would wait."""
    methods: dict[str, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.path is not None and getattr(route, "include_in_schema", False):
            methods.setdefault(route.path, set()).update(route.methods or ())
    for path, of in methods.items():
        pattern, template, _ = compile_path(path)
        yield pattern, template, of


def template_of(app: FastAPI, path: str) -> str | None:
    """The documented path that `path` is an instance of."""
    return next((template for pattern, template, _ in _documented(app) if pattern.match(path)), None)


def methods_of(app: FastAPI, path: str) -> list[str]:
    """The methods that `path` answers to, sorted; none for an undocumented one."""
    return next((sorted(methods) for pattern, _, methods in _documented(app) if pattern.match(path)), [])
