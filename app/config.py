"""Settings, read once from the environment (`PENUMBRA_*`); nothing else reads it."""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """What an operator may set. Every field is `PENUMBRA_<NAME>`; secrets may come from files
    in the folder that `PENUMBRA_SECRETS_DIR` names (Docker and Kubernetes secrets)."""

    model_config = SettingsConfigDict(env_prefix="PENUMBRA_", env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Annotated[Path, Field(description="Folder of the embedded database and the originals.")] = Path(
        "penumbra-data"
    )
    database_url: Annotated[
        SecretStr | None,
        Field(description="A Postgres 16+ server with pgvector 0.8.4+; the embedded one when absent."),
    ] = None
    blob_dir: Annotated[Path | None, Field(description="Folder of the originals; `DATA/blobs` when absent.")] = None

    # Bounds, checked before a pixel is decoded.
    max_file_bytes: Annotated[int, Field(gt=0, description="Largest accepted file, in bytes.")] = 512 * MEBIBYTE
    max_request_bytes: Annotated[int, Field(gt=0, description="Largest accepted request, in bytes.")] = 1024 * MEBIBYTE
    max_files_per_request: Annotated[int, Field(gt=0)] = 1000
    max_pixels: Annotated[int, Field(gt=0, description="Most pixels a frame may have.")] = 250_000_000
    max_frames: Annotated[int, Field(gt=0, description="Most frames or pages a file may have.")] = 16
    min_side_pixels: Annotated[int, Field(gt=0, description="Shortest side an image may have.")] = 16

    # What is kept of DICOM files (docs/formats.md).
    keep_dicom_identity: Annotated[
        bool, Field(description="Store DICOM files as they come, with all that says whom they show.")
    ] = False
    keep_dicom_dates: Annotated[
        bool, Field(description="Take `captured_at` from DICOM files whose sender gives none.")
    ] = False
    pseudonym_key: Annotated[
        SecretStr | None,
        Field(min_length=16, description="Key of pseudonyms; made in `DATA/pseudonym.key` when absent."),
    ] = None

    # What extracts features.
    feature_set: Annotated[
        str | None,
        Field(description="The one feature set of a new store, of a worker, and of requests that name none."),
    ] = None
    weights: Annotated[
        str | None,
        Field(description="Weights file or folder of that feature set, or `imagenet-download` for Keras's own."),
    ] = None
    engine: Annotated[str, Field(description="auto, openvino, tensorflow, tensorflow-xla or jax.")] = "auto"
    precision: Annotated[str, Field(description="auto, fp32, bf16 or (tensorflow only) fp16.")] = "auto"
    device: Annotated[str, Field(description="auto, cpu or gpu; a gpu that is absent is an error.")] = "auto"
    batch_size: Annotated[
        int | None, Field(gt=0, le=1024, description="Images given to the engine at once; measured when absent.")
    ] = None
    decode_threads: Annotated[int, Field(gt=0)] = Field(default=max(1, min(8, os.cpu_count() or 1)))

    # Heads.
    quality_gate: Annotated[
        bool, Field(description="Judge no scan whose pixels show too little, nor one unlike a head's training scans.")
    ] = True
    promotion_margin: Annotated[
        float, Field(ge=0, le=1, description="How far a head's AUC or balanced accuracy may lie below the live one's.")
    ] = 0.005

    # The desk.
    session_hours: Annotated[
        float, Field(gt=0, le=24 * 30, description="How long a browser stays signed in after its last request.")
    ] = 12.0
    claim_seconds: Annotated[
        float, Field(gt=0, description="How long a scan of a worklist stays with whoever opened it last.")
    ] = 600.0
    viewer_cache_bytes: Annotated[
        int, Field(gt=0, description="Most bytes that tiles of scans looked at take in `DATA/cache/pyramids`.")
    ] = 4096 * MEBIBYTE

    # Jobs.
    lease_seconds: Annotated[float, Field(gt=0, description="How long a claimed job stays a worker's own.")] = 60.0
    max_attempts: Annotated[int, Field(gt=0, description="Tries before an image is parked.")] = 3
    retry_delay_seconds: Annotated[
        float, Field(ge=0, description="Wait after the first failure; doubles each try.")
    ] = 2.0
    reconcile_seconds: Annotated[float, Field(gt=0, description="How often missing work is looked for.")] = 30.0
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 5.0
    max_wait_seconds: Annotated[float, Field(gt=0, description="Longest `Prefer: wait` that is honoured.")] = 60.0

    @cached_property
    def blobs(self) -> Path:
        return self.blob_dir or self.data_dir / "blobs"

    @property
    def alive_seconds(self) -> float:
        """How long after its last report a worker still counts as alive: it may miss two."""
        return 3 * self.heartbeat_seconds

    @property
    def postgres_dir(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def cache_dir(self) -> Path:
        """Converted engine graphs, tiles of scans; safe to delete."""
        return self.data_dir / "cache"

    @property
    def weights_dir(self) -> Path:
        """Weights of feature sets that were added or trained here, by their digest."""
        return self.data_dir / "weights"

    @property
    def pseudonym_key_file(self) -> Path:
        return self.data_dir / "pseudonym.key"

    @property
    def admin_key_file(self) -> Path:
        return self.data_dir / "admin.key"


def load_settings() -> Settings:
    """The settings of this process. Raise pydantic's ValidationError for values that cannot be used."""
    return Settings(_secrets_dir=os.environ.get("PENUMBRA_SECRETS_DIR"))


def what_is_wrong(error: ValidationError) -> str:
    """Settings that cannot be used, in one sentence."""
    wrong = [f"PENUMBRA_{str(e['loc'][0]).upper()} ({e['msg'][:1].lower()}{e['msg'][1:]})" for e in error.errors()]
    return f"Correct the environment: {', '.join(wrong)}."
