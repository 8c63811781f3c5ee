"""The process that trains: what it refuses is said by the one that asked, and nothing is left running."""

import pytest

from app.cli.pretraining import _weights
from app.errors import ConfigurationError, InvalidInput
from app.features.pretraining.apart import run
from app.features.pretraining.recipe import Phase, PretrainingRecipe

RECIPE = PretrainingRecipe(phases=(Phase(64, 1),), films=1, views=0, pairs=0, invariance=0.0)


@pytest.mark.slow
def test_what_fails_in_the_process_is_said_here(tmp_path):
    order = {
        "recipe": RECIPE.to_json(),
        "out": tmp_path / "out",
        "films": [str(tmp_path / "absent")],
        "teacher": "x.npz",
    }
    with pytest.raises(ConfigurationError, match=r"There is no folder .*absent: name one with films"):
        run(order, "tensorflow", lambda _: pytest.fail("nothing has begun"))


def test_weights_are_a_file_or_a_bundled_feature_set(tmp_path):
    assert _weights(None) is None
    assert _weights("densenet121-xray").name.startswith("penumbra_densenet121_")
    assert _weights("densenet121-xray-v0").name == "penumbra_densenet121_v0.npz"
    with pytest.raises(InvalidInput, match="There is no file"):
        _weights(str(tmp_path / "absent.npz"))
    with pytest.raises(ConfigurationError, match="PENUMBRA_WEIGHTS"):
        _weights("another-network")
