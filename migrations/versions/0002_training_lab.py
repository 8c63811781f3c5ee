"""The training lab: datasets, augmentation, trials, replays, policies."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IMMUTABLE = ("dataset", "dataset_row", "test_score", "replay", "replay_flip")
JOB_CHECKS = {
    "known_kind": (
        "kind IN ('extract', 'train', 'rescore')",
        "kind IN ('extract', 'augment', 'train', 'rescore', 'replay')",
    ),
    "extract_of_an_image": (
        "kind <> 'extract' OR (image_id IS NOT NULL AND feature_set_id IS NOT NULL)",
        "kind NOT IN ('extract', 'augment') OR (image_id IS NOT NULL AND feature_set_id IS NOT NULL)",
    ),
    "other_of_a_head": (
        "kind = 'extract' OR head_id IS NOT NULL",
        "kind IN ('extract', 'augment') OR head_id IS NOT NULL",
    ),
}


def upgrade() -> None:
    op.create_table(
        "dataset",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("feature_set_id", sa.Integer(), nullable=False),
        sa.Column("classes", postgresql.ARRAY(sa.String(length=64)), nullable=False),
        sa.Column("positive", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("selection", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("split", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["feature_set_id"], ["feature_set.id"], name=op.f("fk_dataset_feature_set_id")),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_dataset_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_dataset_name_version")),
    )
    op.create_table(
        "augmentation_request",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("dataset_id", sa.UUID(), nullable=False),
        sa.Column("recipe", sa.String(length=32), nullable=False),
        sa.Column("copies", sa.SmallInteger(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("copies BETWEEN 1 AND 49", name=op.f("ck_augmentation_request_some_copies")),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_augmentation_request_dataset_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_augmentation_request")),
        sa.UniqueConstraint("dataset_id", "recipe", name=op.f("uq_augmentation_request_dataset_id_recipe")),
    )
    op.create_table(
        "dataset_row",
        sa.Column("dataset_id", sa.UUID(), nullable=False),
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("class_name", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.CheckConstraint("split IN ('train', 'validation', 'test')", name=op.f("ck_dataset_row_known_split")),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_dataset_row_sha256_length")),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_dataset_row_dataset_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("dataset_id", "region_id", name=op.f("pk_dataset_row")),
    )
    op.create_table(
        "replay",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("head_id", sa.UUID(), nullable=False),
        sa.Column("against_id", sa.UUID(), nullable=True),
        sa.Column("regions", sa.Integer(), nullable=False),
        sa.Column("flipped", sa.Integer(), nullable=False),
        sa.Column("flips", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["against_id"], ["head.id"], name=op.f("fk_replay_against_id")),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_replay_head_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay")),
    )
    op.create_index("ix_replay_head_id", "replay", ["head_id", "at"], unique=False)
    op.create_table(
        "test_score",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("dataset_id", sa.UUID(), nullable=False),
        sa.Column("head_id", sa.UUID(), nullable=False),
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_test_score_dataset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_test_score_head_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_test_score")),
        sa.UniqueConstraint("dataset_id", "head_id", name=op.f("uq_test_score_dataset_id_head_id")),
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("head_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("fold", sa.SmallInteger(), nullable=False),
        sa.Column("candidate", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("auc", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_trial_head_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
        sa.UniqueConstraint("head_id", "key", "fold", name=op.f("uq_trial_head_id_key_fold")),
    )
    op.create_index("ix_trial_head_id", "trial", ["head_id", "id"], unique=False)
    op.create_table(
        "replay_flip",
        sa.Column("replay_id", sa.UUID(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=False),
        sa.Column("after", sa.String(length=64), nullable=False),
        sa.Column("probability_before", sa.Double(), nullable=False),
        sa.Column("probability_after", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_replay_flip_image_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_replay_flip_region_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["replay_id"], ["replay.id"], name=op.f("fk_replay_flip_replay_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("replay_id", "rank", name=op.f("pk_replay_flip")),
    )
    op.create_index(op.f("ix_replay_flip_image_id"), "replay_flip", ["image_id"], unique=False)
    op.create_index(op.f("ix_replay_flip_region_id"), "replay_flip", ["region_id"], unique=False)
    op.add_column("head", sa.Column("dataset_id", sa.UUID(), nullable=True))
    op.add_column("head", sa.Column("page", sa.String(), nullable=True))
    op.add_column("head", sa.Column("evidence", sa.LargeBinary(), nullable=True))
    op.create_foreign_key(op.f("fk_head_dataset_id"), "head", "dataset", ["dataset_id"], ["id"])
    # A label file of 100,000 lines finds its images by name.
    op.create_index("ix_image_file_name", "image", ["file_name"], unique=False)
    op.add_column("job", sa.Column("augmentation", sa.String(length=32), nullable=True))
    op.add_column("job", sa.Column("copies", sa.SmallInteger(), nullable=True))
    op.create_index(
        "uq_job_augment",
        "job",
        ["image_id", "feature_set_id", "augmentation"],
        unique=True,
        postgresql_where=sa.text("kind = 'augment' AND state IN ('queued', 'running', 'failed')"),
    )
    op.create_index(
        "uq_job_replay",
        "job",
        ["head_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'replay' AND state = 'queued'"),
    )
    op.add_column("task", sa.Column("policy", sa.String(), nullable=True))
    op.add_column("task", sa.Column("abstain", sa.String(), nullable=True))
    op.add_column("task", sa.Column("prevalence", sa.Double(), nullable=True))
    op.add_column("task", sa.Column("mirrored", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint("prevalence_is_a_share", "task", "prevalence > 0 AND prevalence < 1")
    for name, (_, after) in JOB_CHECKS.items():
        _replace_check(name, after)
    op.create_check_constraint(
        "augment_how", "job", "(kind = 'augment') = (augmentation IS NOT NULL AND copies IS NOT NULL)"
    )
    op.create_unique_constraint(op.f("uq_region_id_image_id"), "region", ["id", "image_id"])
    op.create_unique_constraint(op.f("uq_head_id_task"), "head", ["id", "task"])
    for column in ("image_id", "region_id", "task", "head_id"):
        op.drop_constraint(f"fk_prediction_{column}", "prediction", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_prediction_region_id_image_id"), "prediction", "region", ["region_id", "image_id"],
        ["id", "image_id"], ondelete="CASCADE",
    )  # fmt: skip
    op.create_foreign_key(op.f("fk_prediction_head_id_task"), "prediction", "head", ["head_id", "task"], ["id", "task"])
    # An augmented copy must neither be found by a search nor make the index larger.
    _rebuild_indexes("WHERE augmentation = 0")
    # A container seen from its other side is as empty as before; a chest film mirrored is another patient.
    op.execute("UPDATE task SET mirrored = true WHERE name = 'empty-container'")
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER refuse_update BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_update()"
        )


def downgrade() -> None:
    # What the first release cannot read goes: it is derived, or belongs to the tables below.
    op.execute("DELETE FROM job WHERE kind IN ('augment', 'replay')")
    op.execute("DELETE FROM embedding WHERE augmentation <> 0")
    _rebuild_indexes("")
    op.drop_constraint("fk_prediction_head_id_task", "prediction", type_="foreignkey")
    op.drop_constraint("fk_prediction_region_id_image_id", "prediction", type_="foreignkey")
    op.create_foreign_key("fk_prediction_head_id", "prediction", "head", ["head_id"], ["id"])
    op.create_foreign_key("fk_prediction_image_id", "prediction", "image", ["image_id"], ["id"], ondelete="CASCADE")
    op.create_foreign_key("fk_prediction_region_id", "prediction", "region", ["region_id"], ["id"], ondelete="CASCADE")
    op.create_foreign_key("fk_prediction_task", "prediction", "task", ["task"], ["name"])
    op.drop_constraint("uq_head_id_task", "head", type_="unique")
    op.drop_constraint("uq_region_id_image_id", "region", type_="unique")
    op.drop_constraint("augment_how", "job", type_="check")
    for name, (before, _) in JOB_CHECKS.items():
        _replace_check(name, before)
    op.drop_constraint("prevalence_is_a_share", "task", type_="check")
    op.drop_index("ix_image_file_name", table_name="image")
    op.drop_column("task", "mirrored")
    op.drop_column("task", "prevalence")
    op.drop_column("task", "abstain")
    op.drop_column("task", "policy")
    op.drop_index("uq_job_replay", table_name="job", postgresql_where=sa.text("kind = 'replay' AND state = 'queued'"))
    op.drop_index(
        "uq_job_augment",
        table_name="job",
        postgresql_where=sa.text("kind = 'augment' AND state IN ('queued', 'running', 'failed')"),
    )
    op.drop_column("job", "copies")
    op.drop_column("job", "augmentation")
    op.drop_constraint(op.f("fk_head_dataset_id"), "head", type_="foreignkey")
    op.drop_column("head", "evidence")
    op.drop_column("head", "page")
    op.drop_column("head", "dataset_id")
    op.drop_index(op.f("ix_replay_flip_image_id"), table_name="replay_flip")
    op.drop_index(op.f("ix_replay_flip_region_id"), table_name="replay_flip")
    op.drop_table("replay_flip")
    op.drop_index("ix_trial_head_id", table_name="trial")
    op.drop_table("trial")
    op.drop_table("test_score")
    op.drop_index("ix_replay_head_id", table_name="replay")
    op.drop_table("replay")
    op.drop_table("dataset_row")
    op.drop_table("augmentation_request")
    op.drop_table("dataset")


def _replace_check(name: str, condition: str) -> None:
    op.drop_constraint(name, "job", type_="check")
    op.create_check_constraint(name, "job", condition)


def _rebuild_indexes(where: str) -> None:
    """Make each feature set's HNSW index anew, over the rows that `where` keeps."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'embedding\\_fs%' "
            "AND indexname LIKE 'ix\\_%\\_avg' AND schemaname = current_schema()"
        )
    )
    for name, definition in found.all():
        op.execute(f"DROP INDEX {name}")
        op.execute(f"{definition.split(' WHERE ')[0]} {where}")
