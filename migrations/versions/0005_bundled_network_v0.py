"""Feature sets of the bundled network v0 take its version into their names, which are a newer network's from now on."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

WEIGHTS = "b71731f7eb03e3b2080f6329f0c696482b27287f88a921c53d5323d748b5ac4d"
NAMES = ("densenet121-xray", "densenet121-container", "densenet121-chest")


def upgrade() -> None:
    """By their weights, not by their names alone. Vectors, heads and predictions know a set by its number: they stay."""
    for name in NAMES:
        if _is_there(name):
            _make_room(f"{name}-v0")
            _rename(name, f"{name}-v0")


def downgrade() -> None:
    """Give the plain names back, where the newer network's sets have not taken them."""
    for name in NAMES:
        if _is_there(f"{name}-v0") and not _taken(name):
            _rename(f"{name}-v0", name)


def _ask(statement: str, **values: str) -> object:
    return op.get_bind().scalar(sa.text(statement), values)


def _tell(statement: str, **values: str) -> None:
    op.get_bind().execute(sa.text(statement), values)


def _is_there(name: str) -> bool:
    found = "SELECT id FROM feature_set WHERE name = :name AND spec ->> 'weights_digest' = :weights"
    return _ask(found, name=name, weights=WEIGHTS) is not None


def _taken(name: str) -> bool:
    return _ask("SELECT id FROM feature_set WHERE name = :name", name=name) is not None


def _make_room(name: str) -> None:
    """Whatever somebody else has called so goes by another name: which, the audit trail says."""
    if _taken(name):
        free = next(other for n in range(1, 1000) if not _taken(other := f"{name}-own{n}"))
        _rename(name, free)


def _rename(before: str, after: str) -> None:
    """A set's name, wherever the store goes by it: in the set, in sets that were made from it, in trainings."""
    named = {"before": before, "after": after}
    _tell(
        "UPDATE feature_set SET name = :after, spec = jsonb_set(spec, '{name}', to_jsonb(CAST(:after AS text))) "
        "WHERE name = :before",
        **named,
    )
    for path in ("{int8_of,name}", "{parent}"):
        _tell(
            f"UPDATE feature_set SET origin = jsonb_set(origin, '{path}', to_jsonb(CAST(:after AS text))) "
            f"WHERE origin #>> '{path}' = :before",
            **named,
        )
    _tell(
        "UPDATE backbone_training SET recipe = jsonb_set(recipe, '{feature_set}', to_jsonb(CAST(:after AS text))) "
        "WHERE recipe ->> 'feature_set' = :before",
        **named,
    )
    _tell(
        "INSERT INTO audit_event (actor, action, object_kind, object_id, detail) "
        "VALUES ('penumbra migrate', 'feature_set.rename', 'feature_set', :after, "
        "jsonb_build_object('before', CAST(:before AS text)))",
        **named,
    )
