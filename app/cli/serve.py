"""Commands that run the service: up, api, worker, migrate, doctor."""

import os
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from app import embedded
from app.cli import demo
from app.cli.client import Client
from app.cli.output import DataOption, JsonOption, console, note, print_json, print_table
from app.cli.store import Store, database_url, opened, prepare, settings_for
from app.config import Settings
from app.db import Sessions, make_engine, make_sessions, transaction
from app.errors import AppError, InvalidInput, Unavailable
from app.models import Role
from app.services import images, keys, stats, upgrading
from app.supervisor import Child, Supervisor

# An upload keeps its original before its row; younger files may still be waiting for theirs.
SURPLUS_SECONDS = 3600.0
# What `doctor` says of these is no failure.
ADVICE = ("workers", "feature_sets", "surplus", "networks")


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(api)
    app.command()(worker)
    app.command()(migrate)
    app.command()(doctor)
    app.command("demo")(demo_command)


def up(
    data: DataOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on the loopback interface.")] = 8000,
    with_demo: Annotated[bool, typer.Option("--demo", help="Fill an empty store with a simulated port day.")] = False,
) -> None:
    """Run everything: embedded database, API, one extraction and one training worker. Ctrl-C stops all of it."""
    settings = settings_for(data)
    _require_free(port)
    with database_url(settings) as url:
        engine = make_engine(url)
        prepare(engine, settings)
        key = admin_key(settings, make_sessions(engine))
        newer = _newer_network(engine)
        engine.dispose()
        address = f"http://127.0.0.1:{port}"

        def watch() -> None:
            if settings.database_url is None:
                embedded.ensure_running(settings.postgres_dir)

        def ready() -> None:
            console.print(f"\nPenumbra is ready at {address}  (documentation: {address}/docs)", style="bold")
            console.print(f"API key: {key}  (role admin, kept in {settings.admin_key_file})")
            console.print(f"The inspection desk: open {address} in a browser and sign in with that key.\n")
            if newer is not None:
                console.print(newer)
            if with_demo:
                threading.Thread(target=demo.run, args=(address, key, settings.data_dir), daemon=True).start()

        Supervisor(children(settings, url, port), settings.data_dir / "logs", watch=watch).run(on_ready=ready)


def _require_free(port: int) -> None:
    """Better now than when the API has failed five times. Raise Unavailable when another program has the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Unavailable(f"Port {port} cannot be used ({error.strerror}); choose another with --port.") from error


def children(settings: Settings, url: str, port: int) -> list[Child]:
    """The processes of `penumbra up`, in the order they start."""
    env = {
        "PENUMBRA_DATABASE_URL": url,
        "PENUMBRA_DATA_DIR": str(settings.data_dir.resolve()),
        "PYTHONUNBUFFERED": "1",
    }
    client = Client(f"http://127.0.0.1:{port}")  # one for all looks: ten a second
    python = sys.executable
    return [
        Child("api", [python, *_api_arguments("127.0.0.1", port)], env, ready=client.healthy),
        Child("worker", [python, "-m", "workers", "extract"], env, ready=client.ready),
        Child("trainer", [python, "-m", "workers", "train"], env),
    ]


def _api_arguments(host: str, port: int) -> list[str]:
    return [
        "-m", "uvicorn", "app.main:create_app", "--factory", "--host", host, "--port", str(port),
        "--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "10",
    ]  # fmt: skip


def admin_key(settings: Settings, sessions: Sessions) -> str:
    """The administrator's key of this data folder, made at the first start. Its file is for its owner alone."""
    path = settings.admin_key_file
    with transaction(sessions) as session:
        if path.is_file():
            try:
                keys.authenticate(session, path.read_text().strip())
                path.chmod(0o600)
                return path.read_text().strip()
            except AppError:
                note(f"{path} is no key of this database; a new one is made.")
        _, secret = keys.create(session, "admin", Role.ADMIN, author="penumbra up")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
    return secret


def api(
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
) -> None:
    """Run the API alone, on the server that PENUMBRA_DATABASE_URL names."""
    os.execv(sys.executable, [sys.executable, *_api_arguments(host, port)])  # noqa: S606


def worker(
    kind: Annotated[str, typer.Argument(help="extract or train")] = "extract",
    feature_set: Annotated[
        str | None, typer.Option(help="Feature set to extract; a new one is registered and filled from the archive.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Its weights: a file or folder.")] = None,
    data: DataOption = None,
) -> None:
    """Run one more worker: on PENUMBRA_DATABASE_URL, or beside a running `penumbra up` on the same data folder."""
    if kind not in ("extract", "train"):
        raise InvalidInput(f"There is no worker {kind}; use extract or train.")
    settings = settings_for(data)
    env = {"PENUMBRA_DATA_DIR": str(settings.data_dir.resolve())}
    if settings.database_url is None:
        if not embedded.is_running(settings.postgres_dir):
            raise Unavailable(f"No server runs on {settings.data_dir}; start `penumbra up` first.")
        env["PENUMBRA_DATABASE_URL"] = embedded.ensure_running(settings.postgres_dir).url()
    if feature_set is not None:
        env["PENUMBRA_FEATURE_SET"] = feature_set
    if weights is not None:
        env["PENUMBRA_WEIGHTS"] = weights
    os.execve(sys.executable, [sys.executable, "-m", "workers", kind], {**os.environ, **env})  # noqa: S606


def migrate(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to this version's schema; running it again changes nothing."""
    settings = settings_for(data)
    with database_url(settings) as url:
        engine = make_engine(url)
        revision = prepare(engine, settings)
        newer = _newer_network(engine)
        engine.dispose()
    print_json({"revision": revision}) if as_json else console.print(f"The schema is at revision {revision}.")
    if newer is not None:
        note(newer)


def _newer_network(engine: Engine) -> str | None:
    """That this version brings a newer network than a store uses, and what to do, as a sentence."""
    with transaction(make_sessions(engine)) as session:
        said = upgrading.notice(session)
    return f"{said[0].upper()}{said[1:]}." if said else None


def doctor(
    remove_surplus: Annotated[
        bool, typer.Option("--remove-surplus", help="Delete originals that no image names any more.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the store: database, search, workers, originals missing or left behind."""
    with opened(data) as store:
        with transaction(store.sessions) as session:
            settings = store.settings
            checks = stats.readiness(session, within_seconds=settings.alive_seconds)
            missing = stats.missing_originals(session, store.blobs)
            checks["originals"] = "ok" if not missing else f"{len(missing)} missing, such as {missing[0].hex()}"
            surplus = images.surplus(session, store.blobs, older_than_seconds=SURPLUS_SECONDS)
            checks["networks"] = upgrading.notice(session) or "ok"
        checks["surplus"] = _surplus(store, surplus, remove=remove_surplus)
    if as_json:
        print_json(checks)
    else:
        print_table(["check", "result"], list(checks.items()))
    if any(value != "ok" for name, value in checks.items() if name not in ADVICE):
        raise typer.Exit(1)


def _surplus(store: Store, surplus: list[bytes], *, remove: bool) -> str:
    """What is said of originals that no image names, after removing them when that was asked for."""
    if not surplus:
        return "ok"
    if not remove:
        return f"{len(surplus)} originals that no image names; delete them with --remove-surplus"
    for sha256 in surplus:
        with transaction(store.sessions) as session:
            images.discard(session, store.blobs, sha256)
    return f"{len(surplus)} originals that no image named were removed"


def demo_command(
    address: Annotated[str, typer.Option(help="Address of a running Penumbra.")] = "http://127.0.0.1:8000",
    data: DataOption = None,
    key_file: Annotated[Path | None, typer.Option(help="File with an admin key; DATA/admin.key without it.")] = None,
) -> None:
    """Fill a running, empty Penumbra with a simulated port day, train a head on it, and show three calls."""
    settings = settings_for(data)
    path = key_file or settings.admin_key_file
    if not path.is_file():
        raise InvalidInput(f"There is no key in {path}; start `penumbra up` first, or give --key-file.")
    demo.run(address, path.read_text().strip(), settings.data_dir)
