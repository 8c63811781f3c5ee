"""The inspection desk: sessions, preferences, claims, opinions, withdrawals, and predictions in order of risk."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IMMUTABLE = ("opinion", "opinion_withdrawal", "label_withdrawal")
_NOW = sa.text("now()")


def upgrade() -> None:
    """A million predictions take their risk from their probabilities in about half a minute."""
    _people()
    _opinions()
    op.add_column("task", sa.Column("blind", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("prediction", sa.Column("risk", sa.REAL(), nullable=True))
    op.execute("ALTER TABLE prediction DISABLE TRIGGER refuse_update")
    op.execute(
        "UPDATE prediction SET risk = CAST(probabilities ->> task.positive AS real) "
        "FROM task WHERE task.name = prediction.task"
    )
    op.execute("ALTER TABLE prediction ENABLE TRIGGER refuse_update")
    # A head made outside that leaves its positive class out would be the only one without.
    op.execute("DELETE FROM prediction WHERE risk IS NULL")
    op.alter_column("prediction", "risk", nullable=False)
    _replace_decision_index(["head_id", "decision", "risk", "image_id"])
    op.drop_index("ix_declaration_image_id_task", table_name="declaration")
    op.create_index(
        "ix_declaration_latest", "declaration", ["image_id", "task", sa.text("id DESC")],
        unique=False, postgresql_include=["class_name"],
    )  # fmt: skip
    op.create_index(
        "ix_label_review", "label", ["task", "image_id", "id"],
        unique=False, postgresql_where=sa.text("source = 'review'"),
    )  # fmt: skip
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER refuse_update BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_update()"
        )


def _people() -> None:
    op.create_table(
        "desk_session",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("key_id", sa.UUID(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("browser", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_desk_session_key_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_desk_session_token_hash")),
    )
    op.create_index("ix_desk_session_expires_at", "desk_session", ["expires_at"], unique=False)
    op.create_table(
        "preference",
        sa.Column("key_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_preference_key_id")),
        sa.PrimaryKeyConstraint("key_id", "name", name=op.f("pk_preference")),
    )
    op.create_table(
        "worklist_claim",
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.UUID(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_worklist_claim_image_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_worklist_claim_task")),
        sa.PrimaryKeyConstraint("image_id", "task", name=op.f("pk_worklist_claim")),
    )
    op.create_index("ix_worklist_claim_holder", "worklist_claim", ["holder"], unique=False)


def _opinions() -> None:
    op.create_table(
        "label_withdrawal",
        sa.Column("label_id", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["label_id"], ["label.id"], name=op.f("fk_label_withdrawal_label_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label_id", name=op.f("pk_label_withdrawal")),
    )
    op.create_table(
        "opinion",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("class_name", sa.String(length=64), nullable=True),
        sa.Column("label_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("blind", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("shown", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.CheckConstraint(
            "verdict IN ('confirm', 'correct', 'cannot_judge', 'skip')", name=op.f("ck_opinion_known_verdict")
        ),
        sa.CheckConstraint(
            "(verdict IN ('confirm', 'correct')) = (class_name IS NOT NULL)",
            name=op.f("ck_opinion_class_where_one_is_said"),
        ),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_opinion_image_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["label_id"], ["label.id"], name=op.f("fk_opinion_label_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_opinion_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opinion")),
    )
    op.create_index("ix_opinion_task_image_id", "opinion", ["task", "image_id"], unique=False)
    op.create_index("ix_opinion_author_at", "opinion", ["author", "at"], unique=False)
    op.create_table(
        "opinion_withdrawal",
        sa.Column("opinion_id", sa.UUID(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["opinion_id"], ["opinion.id"], name=op.f("fk_opinion_withdrawal_opinion_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("opinion_id", name=op.f("pk_opinion_withdrawal")),
    )


def downgrade() -> None:
    """Forgets sessions, preferences, claims and opinions; labels that were withdrawn count again."""
    _replace_decision_index(["head_id", "decision", "image_id"])
    op.drop_index("ix_label_review", table_name="label")
    op.drop_index("ix_declaration_latest", table_name="declaration")
    op.create_index("ix_declaration_image_id_task", "declaration", ["image_id", "task"], unique=False)
    op.drop_column("prediction", "risk")
    op.drop_column("task", "blind")
    for table in ("opinion_withdrawal", "opinion", "label_withdrawal", "worklist_claim", "preference", "desk_session"):
        op.drop_table(table)


def _replace_decision_index(columns: list[str]) -> None:
    op.drop_index("ix_prediction_head_id_decision", table_name="prediction")
    op.create_index("ix_prediction_head_id_decision", "prediction", columns, unique=False)
