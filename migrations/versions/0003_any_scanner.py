"""Any scanner's pixels: profiles, cuts and stages of feature sets, findings, explanations, trained backbones."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IMMUTABLE = ("preparation", "explanation")
JOB_CHECKS = {
    "known_kind": (
        "kind IN ('extract', 'augment', 'train', 'rescore', 'replay')",
        "kind IN ('extract', 'augment', 'train', 'rescore', 'replay', 'explain', 'backbone')",
    ),
    "extract_of_an_image": (
        "kind NOT IN ('extract', 'augment') OR (image_id IS NOT NULL AND feature_set_id IS NOT NULL)",
        "kind NOT IN ('extract', 'augment', 'explain') OR (image_id IS NOT NULL AND feature_set_id IS NOT NULL)",
    ),
    "other_of_a_head": (
        "kind IN ('extract', 'augment') OR head_id IS NOT NULL",
        "kind IN ('extract', 'augment', 'backbone') OR head_id IS NOT NULL",
    ),
}
_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "preparation",
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("feature_set_id", sa.Integer(), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["feature_set_id"], ["feature_set.id"], name=op.f("fk_preparation_feature_set_id")),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_preparation_region_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("region_id", "feature_set_id", name=op.f("pk_preparation")),
    )
    op.create_index("ix_preparation_feature_set_id", "preparation", ["feature_set_id"], unique=False)
    op.create_index(
        "ix_preparation_problems",
        "preparation",
        ["feature_set_id", "region_id"],
        unique=False,
        postgresql_where=sa.text("(findings #> '{problems,0}') IS NOT NULL"),
    )
    op.create_table(
        "backbone_training",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("recipe", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("epochs", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("feature_set_id", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["feature_set_id"], ["feature_set.id"], name=op.f("fk_backbone_training_feature_set_id")
        ),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_backbone_training_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backbone_training")),
        sa.UniqueConstraint("name", name=op.f("uq_backbone_training_name")),
    )
    op.create_table(
        "explanation",
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("head_id", sa.UUID(), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("heat", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_explanation_head_id")),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_explanation_region_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("region_id", "head_id", name=op.f("pk_explanation")),
    )
    _feature_sets()
    _images()
    _jobs()
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER refuse_update BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_update()"
        )


def _feature_sets() -> None:
    op.add_column("feature_set", sa.Column("stage", sa.String(length=16), server_default="live", nullable=False))
    op.execute("UPDATE feature_set SET stage = 'retired' WHERE NOT live")
    op.drop_column("feature_set", "live")
    op.add_column("feature_set", sa.Column("profile", sa.String(length=16), nullable=True))
    op.add_column("feature_set", sa.Column("cut", sa.String(length=32), server_default="frame", nullable=False))
    op.add_column("feature_set", sa.Column("paused", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("feature_set", sa.Column("rate", sa.Double(), nullable=True))
    op.add_column(
        "feature_set", sa.Column("origin", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    )
    op.create_check_constraint("known_stage", "feature_set", "stage IN ('filling', 'live', 'retired', 'dropped')")
    op.create_check_constraint("positive_rate", "feature_set", "rate > 0")
    op.add_column("task", sa.Column("profile", sa.String(length=16), nullable=True))
    op.add_column("task", sa.Column("feature_set_id", sa.Integer(), nullable=True))
    op.create_foreign_key(op.f("fk_task_feature_set_id"), "task", "feature_set", ["feature_set_id"], ["id"])
    op.execute("UPDATE task SET profile = 'container' WHERE name = 'empty-container'")
    op.execute("UPDATE task SET profile = 'chest' WHERE name = 'pneumonia'")
    # What answers today goes on answering: a task stays with the feature set of its live head.
    op.execute(
        "UPDATE task SET feature_set_id = coalesce("
        "(SELECT h.feature_set_id FROM head h WHERE h.task = task.name AND h.stage = 'live'), "
        "(SELECT min(id) FROM feature_set))"
    )


def _images() -> None:
    op.add_column("image", sa.Column("profile", sa.String(length=16), nullable=True))
    op.add_column("image", sa.Column("frames", sa.Integer(), server_default="1", nullable=False))
    op.add_column(
        "image", sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column("region", sa.Column("cut", sa.String(length=32), server_default="frame", nullable=False))
    op.add_column("region", sa.Column("frame", sa.Integer(), server_default="0", nullable=False))
    op.drop_constraint("uq_region_image_id_ordinal", "region", type_="unique")
    op.create_unique_constraint(op.f("uq_region_image_id_cut_ordinal"), "region", ["image_id", "cut", "ordinal"])
    op.add_column("prediction", sa.Column("reason", sa.String(), nullable=True))


def _jobs() -> None:
    op.add_column("job", sa.Column("backbone_training_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_job_backbone_training_id"), "job", "backbone_training", ["backbone_training_id"], ["id"]
    )
    for name, (_, after) in JOB_CHECKS.items():
        _replace_check(name, after)
    op.create_check_constraint("backbone_which", "job", "(kind = 'backbone') = (backbone_training_id IS NOT NULL)")
    _replace_queue_index(["kind", "feature_set_id", "priority", "run_after"])
    op.create_index(
        "uq_job_explain",
        "job",
        ["image_id", "head_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'explain' AND state IN ('queued', 'running')"),
    )
    op.drop_column("worker", "feature_set_id")
    op.add_column("worker", sa.Column("serves", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False))
    op.add_column(
        "worker", sa.Column("stages", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    )


def downgrade() -> None:
    """Forgets explanations, findings, trained backbones' records, and regions of every cut but whole frames."""
    op.drop_column("worker", "stages")
    op.drop_column("worker", "serves")
    op.add_column("worker", sa.Column("feature_set_id", sa.Integer(), nullable=True))
    op.create_foreign_key("fk_worker_feature_set_id", "worker", "feature_set", ["feature_set_id"], ["id"])
    op.drop_index(
        "uq_job_explain",
        table_name="job",
        postgresql_where=sa.text("kind = 'explain' AND state IN ('queued', 'running')"),
    )
    _replace_queue_index(["kind", "priority", "run_after"])
    op.drop_constraint("backbone_which", "job", type_="check")
    op.execute("DELETE FROM job WHERE kind IN ('explain', 'backbone')")
    for name, (before, _) in JOB_CHECKS.items():
        _replace_check(name, before)
    op.drop_constraint(op.f("fk_job_backbone_training_id"), "job", type_="foreignkey")
    op.drop_column("job", "backbone_training_id")
    op.drop_column("prediction", "reason")
    op.execute("DELETE FROM region WHERE cut <> 'frame'")
    op.drop_constraint(op.f("uq_region_image_id_cut_ordinal"), "region", type_="unique")
    op.create_unique_constraint("uq_region_image_id_ordinal", "region", ["image_id", "ordinal"])
    op.drop_column("region", "frame")
    op.drop_column("region", "cut")
    op.drop_column("image", "facts")
    op.drop_column("image", "frames")
    op.drop_column("image", "profile")
    op.drop_constraint(op.f("fk_task_feature_set_id"), "task", type_="foreignkey")
    op.drop_column("task", "feature_set_id")
    op.drop_column("task", "profile")
    op.drop_constraint("positive_rate", "feature_set", type_="check")
    op.drop_constraint("known_stage", "feature_set", type_="check")
    op.add_column("feature_set", sa.Column("live", sa.Boolean(), server_default="true", nullable=False))
    op.execute("UPDATE feature_set SET live = (stage = 'live')")
    for column in ("origin", "rate", "paused", "cut", "profile", "stage"):
        op.drop_column("feature_set", column)
    op.drop_table("explanation")
    op.drop_table("backbone_training")
    op.drop_table("preparation")


def _replace_check(name: str, condition: str) -> None:
    op.drop_constraint(name, "job", type_="check")
    op.create_check_constraint(name, "job", condition)


def _replace_queue_index(columns: list[str]) -> None:
    """A worker looks for the first job of each feature set that it serves."""
    waiting = sa.text("state = 'queued'")
    op.drop_index("ix_job_queue", table_name="job", postgresql_where=waiting)
    op.create_index("ix_job_queue", "job", columns, unique=False, postgresql_where=waiting)
