"""Health check of a worker's container: exit 0 while a worker of this host has reported within three heartbeats."""

import socket
import sys

import psycopg2

from app.config import load_settings

settings = load_settings()
assert settings.database_url is not None, "PENUMBRA_DATABASE_URL is not set"
address = settings.database_url.get_secret_value().replace("postgresql+psycopg2://", "postgresql://", 1)
with psycopg2.connect(address, connect_timeout=5) as connection, connection.cursor() as cursor:
    cursor.execute(
        "SELECT count(*) FROM worker WHERE host = %s AND seen_at > now() - make_interval(secs => %s)",
        (socket.gethostname(), settings.alive_seconds),
    )
    (alive,) = cursor.fetchone() or (0,)
sys.exit(0 if alive else "no worker of this host has reported lately")
