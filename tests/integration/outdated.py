"""A store as an earlier release left it, once migrated: its scans are described by a network that was replaced."""

from dataclasses import replace

import onnx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import undefer

from app.db import transaction
from app.features.spec import FeatureSetSpec
from app.features.weights import CURRENT, KNOWN
from app.features.weights.known import sets_of
from app.heads import artifact
from app.models import Head
from tests.conftest import TestStore

PRESENT = "densenet121-xray"
FORMER = "densenet121-xray-older"
OLDER = replace(CURRENT, version="older", weights_digest="0" * 64)


def superseded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bundle hold a network before the present one."""
    for known in sets_of(OLDER, current=False):
        monkeypatch.setitem(KNOWN, known.name, known)  # type: ignore[arg-type]  # a dict, which nobody else changes


def outdate(store: TestStore, former: FeatureSetSpec | None = None) -> FeatureSetSpec:
    """Make the store's feature set, and the starters that read it, those of an earlier network: its spec."""
    former, present = former or KNOWN[FORMER].spec, KNOWN[PRESENT].spec
    with transaction(store.sessions) as session:
        stored = store.feature_set()
        assert stored.digest == present.digest
        stored.name, stored.digest, stored.spec = former.name, former.digest, former.as_dict()
        session.merge(stored)
        for head in session.scalars(select(Head).options(undefer(Head.artifact))):
            assert head.artifact is not None
            head.artifact = _reading(head.artifact, present.digest, former.digest)
    return former


def _reading(content: bytes, before: str, after: str) -> bytes:
    """A head's artifact that says it reads the feature set of digest `after`."""
    model = onnx.load_from_string(content)
    texts = {prop.key: prop.value for prop in model.metadata_props}
    texts[artifact.METADATA_KEY] = texts[artifact.METADATA_KEY].replace(before, after)
    texts[artifact.SEAL_KEY] = artifact._seal(texts)
    onnx.helper.set_model_props(model, texts)
    return model.SerializeToString()  # type: ignore[no-any-return]
