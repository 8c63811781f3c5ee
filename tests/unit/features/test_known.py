"""What happens to names when a newer network is bundled."""

from dataclasses import replace

import pytest

from app.errors import ConfigurationError
from app.features.golden import pinned
from app.features.weights import CURRENT, KNOWN, NETWORKS, known, resolve, resolve_spec, successor, versions
from app.features.weights.known import known_sets, sets_of
from app.features.weights.resolution import BUNDLE

NEWER = replace(CURRENT, version="v9", weights_digest="9" * 64)
PLAIN = ("densenet121-xray", "densenet121-container", "densenet121-chest")


@pytest.fixture
def newer(monkeypatch):
    """A bundle with one network more, whose file is the current one's under another digest."""
    made = known_sets([*NETWORKS, NEWER])
    monkeypatch.setattr(known, "KNOWN", made)
    monkeypatch.setattr("app.features.weights.resolution.KNOWN", made)
    return made


def test_every_network_has_three_sets_and_only_the_last_ones_have_plain_names():
    for network in NETWORKS:
        suffix = "" if network is CURRENT else f"-{network.version}"
        for name in PLAIN:
            assert KNOWN[name + suffix].weights_digest == network.weights_digest
            assert KNOWN[name + suffix].superseded_by == (None if network is CURRENT else name)


def test_every_bundled_network_is_here_with_its_card_and_expectation():
    for network in NETWORKS:
        for suffix in (".npz", ".md", ".expected.json"):
            assert (BUNDLE / network.file).with_suffix(suffix).is_file()
    assert len({network.weights_digest for network in NETWORKS}) == len(NETWORKS)


def test_a_newer_network_takes_the_names_and_the_former_one_its_version(newer):
    for name in PLAIN:
        former = newer[f"{name}-{CURRENT.version}"]
        assert newer[name].weights_digest == NEWER.weights_digest
        assert (former.superseded_by, former.preprocessing) == (name, KNOWN[name].preprocessing)
        assert former.spec.digest == KNOWN[name].spec.digest


def test_golden_vectors_keep_their_file_when_a_set_is_superseded(newer):
    for name in PLAIN:
        former = newer[f"{name}-{CURRENT.version}"]
        assert former.golden == KNOWN[name].golden
        assert pinned(former.golden).weights_digest == CURRENT.weights_digest
        assert newer[name].golden not in {one.golden for one in KNOWN.values()}


def test_what_took_a_sets_place_goes_by_its_digest_and_not_by_its_name(newer):
    for name in PLAIN:
        assert successor(KNOWN[name].spec.digest) == name
        assert successor(replace(KNOWN[name].spec, name="ours").digest) == name
        assert successor(newer[name].spec.digest) is None
    assert successor("0" * 64) is None
    assert versions(PLAIN[0])[:2] == [PLAIN[0], f"{PLAIN[0]}-{CURRENT.version}"]
    assert versions("unheard-of") == ["unheard-of"]


def test_a_superseded_set_is_still_found_by_name_and_by_what_a_store_says_of_it(newer):
    former = resolve(f"{PLAIN[0]}-{CURRENT.version}")
    assert former.path == BUNDLE / CURRENT.file
    stored = next(sets_of(CURRENT, current=True)).spec
    assert resolve_spec(stored).path == former.path


def test_the_former_networks_file_under_the_name_says_what_it_is_called_now(newer):
    with pytest.raises(ConfigurationError, match=f"these are those of densenet121-xray-{CURRENT.version}"):
        resolve(PLAIN[0], str(BUNDLE / CURRENT.file))
