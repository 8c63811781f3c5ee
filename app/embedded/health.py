"""Can this processor and this server carry Penumbra? Answered before anything is stored."""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from app.errors import DatabaseUnusable

OLDEST_POSTGRES = 16
OLDEST_PGVECTOR = (0, 8, 4)

# The wheel's vector.so is compiled for x86-64-v3 throughout (disassembled 2026-11: VEX, FMA, BMI2, F16C,
# LZCNT and MOVBE everywhere, AVX-512 only where dispatched). On anything less a backend dies of SIGILL.
PGVECTOR_NEEDS = frozenset({"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"})

ELSEWHERE = "set PENUMBRA_DATABASE_URL to a Postgres 16+ server with pgvector 0.8.4+ instead"

# 16 dimensions, because the vectorised loops start at 8; both types, because each has its own code.
PROBE = """
WITH a AS (SELECT array_agg(n)::real[] AS n FROM generate_series(1, 16) n)
SELECT n::vector <-> n::vector, n::vector <=> n::vector, n::halfvec <-> n::halfvec, n::halfvec <=> n::halfvec
FROM a
"""


@dataclass(frozen=True)
class ServerVersions:
    postgres: str
    pgvector: str


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Feature flags of the first processor; empty where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())


def require_processor(machine: str | None = None, flags: frozenset[str] | None = None) -> None:
    """Refuse an x86 processor that the wheel's pgvector was not built for. Raises `DatabaseUnusable`."""
    if (machine or platform.machine()).lower() not in {"x86_64", "amd64"}:
        return
    flags = processor_flags() if flags is None else flags
    missing = PGVECTOR_NEEDS - flags
    if flags and missing:
        raise DatabaseUnusable(
            f"This processor lacks {', '.join(sorted(missing))}, which the embedded pgvector needs; {ELSEWHERE}."
        )


def probe_vector(execute: Callable[[str], object]) -> None:
    """Run real vector arithmetic once, where a wrong instruction kills a probe and not a search.

    Raises `DatabaseUnusable` when the backend dies of it.
    """
    try:
        execute(PROBE)
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise DatabaseUnusable(
            f"pgvector's arithmetic ended its backend ({str(error).strip()}): it was probably built for"
            f" another processor; {ELSEWHERE}."
        ) from error


def check_server(target: connection | str) -> ServerVersions:
    """Versions of the server behind a psycopg2 connection or a URL (SQLAlchemy's or libpq's).

    Raises `DatabaseUnusable`, with the remedy, unless it is Postgres 16+ with pgvector 0.8.4+.
    """
    if not isinstance(target, str):
        return _check(target)
    try:
        opened = psycopg2.connect(re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", target), connect_timeout=10)
    except psycopg2.Error as error:
        raise DatabaseUnusable(
            f"The database does not answer ({str(error).strip()}); check PENUMBRA_DATABASE_URL, and that it runs."
        ) from error
    try:
        return _check(opened)
    finally:
        opened.close()


def _check(opened: connection) -> ServerVersions:
    with opened.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000")
        version, major = cursor.fetchone() or ("unknown", 0)
        cursor.execute("SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'vector'")
        installed, available = cursor.fetchone() or (None, None)
    if major < OLDEST_POSTGRES:
        raise DatabaseUnusable(f"Postgres {version} is too old; upgrade the server to {OLDEST_POSTGRES} or newer.")
    _require_pgvector(installed, available)
    return ServerVersions(postgres=version, pgvector=installed or available)


def _require_pgvector(installed: str | None, available: str | None) -> None:
    oldest = ".".join(map(str, OLDEST_PGVECTOR))
    if installed is None and available is None:
        raise DatabaseUnusable(f"The database server has no pgvector; install pgvector {oldest} or newer on it.")
    if _numbers(installed or available) >= OLDEST_PGVECTOR:
        return
    if _numbers(available) >= OLDEST_PGVECTOR:
        raise DatabaseUnusable(
            f"The database uses pgvector {installed}; run ALTER EXTENSION vector UPDATE to get {available}."
        )
    raise DatabaseUnusable(
        f"pgvector {installed or available} is too old; install {oldest} or newer on the database server."
    )


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (version or "0").split(".") if part.isdigit())
