"""The embedded Postgres + pgvector server: started on a data folder, found again after any crash."""

from app.embedded.health import ServerVersions, check_server
from app.embedded.server import EmbeddedServer, ensure_running, is_running, serving, stop

__all__ = [
    "EmbeddedServer",
    "ServerVersions",
    "check_server",
    "ensure_running",
    "is_running",
    "serving",
    "stop",
]
