"""Column types that several tables share."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, String, func
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import mapped_column

from app.models.ids import uuid7

Id = Annotated[UUID, mapped_column(PG_UUID(as_uuid=True), primary_key=True, default=uuid7)]
Now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
ImageRef = Annotated[UUID, mapped_column(ForeignKey("image.id", ondelete="CASCADE"))]
TaskRef = Annotated[str, mapped_column(String(64), ForeignKey("task.name"))]
