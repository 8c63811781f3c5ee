"""Migrations: the models are what they make, and a store of an earlier release goes on answering."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import SchemaItem

import app
from app import embedded
from app.db import Base, make_engine
from tests.conftest import administer

MIGRATIONS = Path(app.__file__).parents[1] / "migrations"


@pytest.fixture
def empty(server: embedded.EmbeddedServer) -> Iterator[Engine]:
    """A database without a schema."""
    administer(server, "CREATE DATABASE migrated")
    engine = make_engine(server.url("migrated"))
    yield engine
    engine.dispose()
    administer(server, "DROP DATABASE migrated WITH (FORCE)")


def configured(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def to(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        command.upgrade(configured(connection), revision)


def back(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        command.downgrade(configured(connection), revision)


def differences(engine: Engine) -> list[object]:
    def ours(item: SchemaItem, name: str | None, kind: str, reflected: bool, _: SchemaItem | None) -> bool:
        return not (kind == "table" and str(name).startswith("embedding_fs"))

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def test_the_migrations_make_what_the_models_say(empty: Engine) -> None:
    to(empty, "head")
    assert differences(empty) == []


def test_every_step_can_be_taken_back_and_taken_again(empty: Engine) -> None:
    to(empty, "head")
    back(empty, "base")
    to(empty, "head")
    assert differences(empty) == []


STORE_OF_THE_LAB = """
INSERT INTO feature_set (name, digest, avg_dim, max_dim, spec, live)
    VALUES ('first', repeat('0', 64), 4, 4, '{}', true), ('second', repeat('1', 64), 4, 4, '{}', false);
INSERT INTO task (name, question, classes, positive)
    VALUES ('empty-container', '?', '{empty,loaded}', 'loaded'), ('pneumonia', '?', '{normal,pneumonia}', 'pneumonia'),
           ('luggage', '?', '{a,b}', 'a');
INSERT INTO head (id, task, version, stage, feature_set_id, algorithm, artifact, author)
    VALUES (gen_random_uuid(), 'pneumonia', 1, 'live', 2, 'x', 'x', 'test');
INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth)
    VALUES ('00000000-0000-0000-0000-000000000001', decode(repeat('00', 32), 'hex'), 'image/png', 1, 8, 9, 8);
INSERT INTO region (image_id, ordinal, x, y, width, height)
    VALUES ('00000000-0000-0000-0000-000000000001', 0, 0, 0, 8, 9);
"""


def test_a_store_of_the_lab_keeps_its_feature_sets_and_its_answers(empty: Engine) -> None:
    to(empty, "0002")
    with empty.begin() as connection:
        connection.execute(text(STORE_OF_THE_LAB))
    to(empty, "0003")
    with empty.connect() as connection:
        sets = connection.execute(text("SELECT name, stage, profile, cut, paused FROM feature_set ORDER BY id")).all()
        of_task = connection.execute(
            text(
                "SELECT t.name, t.profile, fs.name FROM task t "
                "JOIN feature_set fs ON fs.id = t.feature_set_id ORDER BY 1"
            )
        ).all()
        region = connection.execute(text("SELECT cut, frame, ordinal FROM region")).one()
    assert [tuple(row) for row in sets] == [
        ("first", "live", None, "frame", False), ("second", "retired", None, "frame", False),
    ]  # fmt: skip
    assert [tuple(row) for row in of_task] == [
        ("empty-container", "container", "first"), ("luggage", None, "first"), ("pneumonia", "chest", "second"),
    ]  # fmt: skip
    assert tuple(region) == ("frame", 0, 0)


JUDGED = """
INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, threshold)
    SELECT region.image_id, region.id, head.task, head.id, '{"normal": 0.75, "pneumonia": 0.25}', 'normal', 0.5
    FROM region, head;
"""


def test_predictions_of_earlier_releases_take_their_risk_from_their_probabilities(empty: Engine) -> None:
    to(empty, "0002")
    with empty.begin() as connection:
        connection.execute(text(STORE_OF_THE_LAB))
    to(empty, "0003")
    with empty.begin() as connection:
        connection.execute(text(JUDGED))
    to(empty, "head")
    with empty.begin() as connection:
        assert connection.scalar(text("SELECT risk FROM prediction")) == 0.25
    with pytest.raises(DBAPIError, match="prediction rows are never updated"), empty.begin() as connection:
        connection.execute(text("UPDATE prediction SET risk = 0"))
