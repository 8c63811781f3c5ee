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
from app.features.weights import KNOWN
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


# 0005: the feature sets of v0 get its version into their names

V0 = "b71731f7eb03e3b2080f6329f0c696482b27287f88a921c53d5323d748b5ac4d"
STORE_OF_V0 = f"""
INSERT INTO feature_set (name, digest, avg_dim, max_dim, spec, origin) VALUES
    ('densenet121-container', repeat('0', 64), 4, 4,
        '{{"name": "densenet121-container", "weights_digest": "{V0}"}}', '{{}}'),
    ('densenet121-chest', repeat('1', 64), 4, 4, '{{"name": "densenet121-chest", "weights_digest": "other"}}', '{{}}'),
    ('densenet121-container-v0', repeat('2', 64), 4, 4,
        '{{"name": "densenet121-container-v0", "weights_digest": "own"}}', '{{}}'),
    ('plain', repeat('3', 64), 4, 4, '{{"name": "plain", "weights_digest": "{V0}"}}', '{{}}'),
    ('eight-bits', repeat('4', 64), 4, 4, '{{"name": "eight-bits"}}',
        '{{"int8_of": {{"name": "densenet121-container"}}}}'),
    ('tuned', repeat('5', 64), 4, 4, '{{"name": "tuned"}}', '{{"parent": "densenet121-container"}}');
INSERT INTO task (name, question, classes, positive, feature_set_id)
    VALUES ('empty-container', '?', '{{empty,loaded}}', 'loaded', 1);
INSERT INTO head (id, task, version, stage, feature_set_id, algorithm, artifact, author)
    VALUES (gen_random_uuid(), 'empty-container', 1, 'live', 1, 'x', 'x', 'test');
INSERT INTO image (id, sha256, media_type, byte_count, width, height, bit_depth)
    VALUES ('00000000-0000-0000-0000-000000000001', decode(repeat('00', 32), 'hex'), 'image/png', 1, 8, 9, 8);
INSERT INTO region (image_id, ordinal, x, y, width, height)
    VALUES ('00000000-0000-0000-0000-000000000001', 0, 0, 0, 8, 9);
INSERT INTO prediction (image_id, region_id, task, head_id, probabilities, decision, threshold, risk)
    SELECT region.image_id, region.id, head.task, head.id, '{{"empty": 0.75, "loaded": 0.25}}', 'empty', 0.5, 0.25
    FROM region, head;
INSERT INTO backbone_training (id, name, task, recipe, author)
    VALUES (gen_random_uuid(), 'tuned', 'empty-container', '{{"feature_set": "densenet121-container"}}', 'test');
"""

NEWER = """
INSERT INTO feature_set (name, digest, avg_dim, max_dim, spec) VALUES
    ('densenet121-container', repeat('6', 64), 4, 4, '{"name": "densenet121-container", "weights_digest": "newer"}');
"""


@pytest.fixture
def of_v0(empty: Engine) -> Engine:
    """A store of the release before the network was replaced."""
    to(empty, "0004")
    with empty.begin() as connection:
        connection.exec_driver_sql(STORE_OF_V0)
    return empty


def names(engine: Engine) -> dict[int, str]:
    """Each set's name by its number, which its spec has as well."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, name, spec ->> 'name' AS said FROM feature_set ORDER BY id")).all()
    assert [row.name for row in rows] == [row.said for row in rows]
    return {row.id: row.name for row in rows}


def test_sets_of_the_replaced_network_are_renamed_by_their_weights(of_v0: Engine) -> None:
    to(of_v0, "0005")
    assert names(of_v0) == {
        1: "densenet121-container-v0", 2: "densenet121-chest", 3: "densenet121-container-v0-own1", 4: "plain",
        5: "eight-bits", 6: "tuned",
    }  # fmt: skip


def test_what_goes_by_a_renamed_sets_name_follows_it_and_what_goes_by_its_number_stays(of_v0: Engine) -> None:
    to(of_v0, "0005")
    with of_v0.connect() as connection:
        assert connection.scalar(text("SELECT origin #>> '{int8_of,name}' FROM feature_set WHERE id = 5")) == (
            "densenet121-container-v0"
        )
        assert connection.scalar(text("SELECT origin ->> 'parent' FROM feature_set WHERE id = 6")) == (
            "densenet121-container-v0"
        )
        assert connection.scalar(text("SELECT recipe ->> 'feature_set' FROM backbone_training")) == (
            "densenet121-container-v0"
        )
        assert connection.scalar(text("SELECT feature_set_id FROM task")) == 1
        answered = "SELECT p.decision FROM prediction p JOIN head h ON h.id = p.head_id WHERE h.feature_set_id = 1"
        assert connection.scalar(text(answered)) == "empty"
        renamed = "SELECT detail ->> 'before' FROM audit_event WHERE action = 'feature_set.rename' ORDER BY id"
        assert connection.scalars(text(renamed)).all() == ["densenet121-container-v0", "densenet121-container"]


def test_plain_names_are_given_back_unless_the_newer_network_has_them(of_v0: Engine) -> None:
    before = names(of_v0)
    to(of_v0, "0005")
    back(of_v0, "0004")
    assert names(of_v0) == before | {3: "densenet121-container-v0-own1"}
    to(of_v0, "0005")
    with of_v0.begin() as connection:
        connection.exec_driver_sql(NEWER)
    back(of_v0, "0004")
    assert names(of_v0)[1] == "densenet121-container-v0"


def test_every_name_that_is_given_is_a_known_sets() -> None:
    for name in ("densenet121-xray", "densenet121-container", "densenet121-chest"):
        known = KNOWN[f"{name}-v0"]
        assert (known.weights_digest, known.superseded_by) == (V0, name)
