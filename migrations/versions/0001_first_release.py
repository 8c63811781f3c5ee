"""First release: images, features, tasks, jobs, access."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


# Rows that describe the past; an UPDATE on them is a defect, whoever sends it.
IMMUTABLE = ("audit_event", "declaration", "embedding", "label", "prediction")


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "api_key",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('ingest', 'inspector', 'admin')", name=op.f("ck_api_key_known_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object_kind", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_at", "audit_event", ["at"], unique=False)
    op.create_index("ix_audit_event_object", "audit_event", ["object_kind", "object_id"], unique=False)
    op.create_table(
        "feature_set",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("avg_dim", sa.Integer(), nullable=False),
        sa.Column("max_dim", sa.Integer(), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("live", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("avg_dim > 0 AND max_dim > 0", name=op.f("ck_feature_set_dimensions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_set")),
        sa.UniqueConstraint("digest", name=op.f("uq_feature_set_digest")),
        sa.UniqueConstraint("name", name=op.f("uq_feature_set_name")),
    )
    op.create_table(
        "image",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bit_depth", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_image_sha256_length")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_image_has_pixels")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
        sa.UniqueConstraint("sha256", name=op.f("uq_image_sha256")),
    )
    op.create_index("ix_image_source", "image", ["source", "id"], unique=False)
    op.create_index("ix_image_subject", "image", ["subject", "id"], unique=False)
    op.create_index("ix_image_tags", "image", ["tags"], unique=False, postgresql_using="gin")
    op.create_table(
        "task",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("classes", postgresql.ARRAY(sa.String(length=64)), nullable=False),
        sa.Column("positive", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("positive = ANY (classes)", name=op.f("ck_task_positive_is_a_class")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_task")),
    )
    op.create_table(
        "declaration",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("class_name", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_declaration_image_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_declaration_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declaration")),
    )
    op.create_index("ix_declaration_image_id_task", "declaration", ["image_id", "task"], unique=False)
    op.create_table(
        "head",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("feature_set_id", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("recipe", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("artifact", sa.LargeBinary(), nullable=True),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("card", sa.String(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "stage IN ('training', 'failed') OR artifact IS NOT NULL", name=op.f("ck_head_whole_or_absent")
        ),
        sa.CheckConstraint(
            "stage IN ('training', 'failed', 'candidate', 'live', 'archived')",
            name=op.f("ck_head_known_stage"),
        ),
        sa.ForeignKeyConstraint(["feature_set_id"], ["feature_set.id"], name=op.f("fk_head_feature_set_id")),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_head_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_head")),
        sa.UniqueConstraint("task", "version", name=op.f("uq_head_task_version")),
    )
    op.create_index("uq_head_live", "head", ["task"], unique=True, postgresql_where=sa.text("stage = 'live'"))
    op.create_table(
        "label",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("class_name", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("source IN ('import', 'declared', 'review')", name=op.f("ck_label_known_source")),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_label_image_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_label_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
    )
    op.create_index("ix_label_image_id_task", "label", ["image_id", "task"], unique=False)
    op.create_index("ix_label_task", "label", ["task"], unique=False)
    op.create_table(
        "region",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("ordinal", sa.Integer(), server_default="0", nullable=False),
        sa.Column("x", sa.Integer(), nullable=False),
        sa.Column("y", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.CheckConstraint("x >= 0 AND y >= 0 AND width > 0 AND height > 0", name=op.f("ck_region_inside")),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_region_image_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_region")),
        sa.UniqueConstraint("image_id", "ordinal", name=op.f("uq_region_image_id_ordinal")),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("engine", sa.String(), nullable=True),
        sa.Column("feature_set_id", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["feature_set_id"], ["feature_set.id"], name=op.f("fk_worker_feature_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_table(
        "embedding",
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("feature_set_id", sa.Integer(), nullable=False),
        sa.Column("augmentation", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("avg", Vector(), nullable=False),
        sa.Column("max", Vector(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["feature_set_id"], ["feature_set.id"], name=op.f("fk_embedding_feature_set_id")),
        sa.ForeignKeyConstraint(["region_id"], ["region.id"], name=op.f("fk_embedding_region_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("region_id", "feature_set_id", "augmentation", name=op.f("pk_embedding")),
        postgresql_partition_by="LIST (feature_set_id)",
    )
    op.create_table(
        "job",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), server_default="queued", nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=True),
        sa.Column("feature_set_id", sa.Integer(), nullable=True),
        sa.Column("head_id", sa.UUID(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("run_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("losses", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="1", nullable=False),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name=op.f("ck_job_running_has_a_lease")),
        sa.CheckConstraint(
            "kind <> 'extract' OR (image_id IS NOT NULL AND feature_set_id IS NOT NULL)",
            name=op.f("ck_job_extract_of_an_image"),
        ),
        sa.CheckConstraint("kind = 'extract' OR head_id IS NOT NULL", name=op.f("ck_job_other_of_a_head")),
        sa.CheckConstraint("kind IN ('extract', 'train', 'rescore')", name=op.f("ck_job_known_kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_job_known_state"),
        ),
        sa.ForeignKeyConstraint(["feature_set_id"], ["feature_set.id"], name=op.f("fk_job_feature_set_id")),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_job_head_id")),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_job_image_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(
        "ix_job_finished",
        "job",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index("ix_job_image_id", "job", ["image_id", "feature_set_id"], unique=False)
    op.create_index(
        "ix_job_leases", "job", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "ix_job_queue",
        "job",
        ["kind", "priority", "run_after"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "uq_job_extract",
        "job",
        ["image_id", "feature_set_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'extract' AND state IN ('queued', 'running', 'failed')"),
    )
    op.create_index(
        "uq_job_rescore",
        "job",
        ["head_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'rescore' AND state = 'queued'"),
    )
    op.create_table(
        "prediction",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("image_id", sa.UUID(), nullable=False),
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("head_id", sa.UUID(), nullable=False),
        sa.Column("probabilities", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decision", sa.String(length=64), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_prediction_head_id")),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_prediction_image_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["region_id"], ["region.id"], name=op.f("fk_prediction_region_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_prediction_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction")),
        sa.UniqueConstraint("region_id", "head_id", name=op.f("uq_prediction_region_id_head_id")),
    )
    op.create_index("ix_prediction_head_id_decision", "prediction", ["head_id", "decision", "image_id"], unique=False)
    op.create_index("ix_prediction_image_id", "prediction", ["image_id"], unique=False)
    op.create_table(
        "promotion",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("head_id", sa.UUID(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("rollback", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["head_id"], ["head.id"], name=op.f("fk_promotion_head_id")),
        sa.ForeignKeyConstraint(["task"], ["task.name"], name=op.f("fk_promotion_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion")),
    )
    op.create_index("ix_promotion_task", "promotion", ["task", "id"], unique=False)
    op.execute(
        """
        CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% rows are never updated; insert a new one', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER refuse_update BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_update()"
        )


def downgrade() -> None:
    op.drop_index("ix_promotion_task", table_name="promotion")
    op.drop_table("promotion")
    op.drop_index("ix_prediction_image_id", table_name="prediction")
    op.drop_index("ix_prediction_head_id_decision", table_name="prediction")
    op.drop_table("prediction")
    op.drop_index("uq_job_rescore", table_name="job", postgresql_where=sa.text("kind = 'rescore' AND state = 'queued'"))
    op.drop_index(
        "uq_job_extract",
        table_name="job",
        postgresql_where=sa.text("kind = 'extract' AND state IN ('queued', 'running', 'failed')"),
    )
    op.drop_index("ix_job_queue", table_name="job", postgresql_where=sa.text("state = 'queued'"))
    op.drop_index("ix_job_leases", table_name="job", postgresql_where=sa.text("state = 'running'"))
    op.drop_index("ix_job_image_id", table_name="job")
    op.drop_index("ix_job_finished", table_name="job", postgresql_where=sa.text("finished_at IS NOT NULL"))
    op.drop_table("job")
    op.drop_table("embedding")
    op.drop_table("worker")
    op.drop_table("region")
    op.drop_index("ix_label_task", table_name="label")
    op.drop_index("ix_label_image_id_task", table_name="label")
    op.drop_table("label")
    op.drop_index("uq_head_live", table_name="head", postgresql_where=sa.text("stage = 'live'"))
    op.drop_table("head")
    op.drop_index("ix_declaration_image_id_task", table_name="declaration")
    op.drop_table("declaration")
    op.drop_table("task")
    op.drop_index("ix_image_tags", table_name="image", postgresql_using="gin")
    op.drop_index("ix_image_subject", table_name="image")
    op.drop_index("ix_image_source", table_name="image")
    op.drop_table("image")
    op.drop_table("feature_set")
    op.drop_index("ix_audit_event_object", table_name="audit_event")
    op.drop_index("ix_audit_event_at", table_name="audit_event")
    op.drop_table("audit_event")
    op.drop_table("api_key")
    op.execute("DROP FUNCTION refuse_update")
