"""The feature sets whose weights are known by their contents, and which of them a newer bundled network replaced."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.features.spec import FeatureSetSpec
from app.features.weights.arrays import BUNDLED_BACKBONE
from app.imaging.preprocessing import PROFILES, Preprocessing


@dataclass(frozen=True, slots=True)
class Network:
    """A network that comes with Penumbra: `file` and its card lie beside this module.

    bf16_agrees: on 228 real scans (200 chest films, 28 containers) bf16 stayed within cosine 0.999
    (average-pooled) and 0.998 (max-pooled) of fp32 on every one. Measured 2026: v0 0.99975 and 0.99978,
    v1 (222 scans) 0.99997 and 0.99988, ImageNet 0.99826 and 0.99866.
    """

    version: str
    file: str
    weights_digest: str
    bf16_agrees: bool


NETWORKS = (
    Network(
        "v0", "penumbra_densenet121_v0.npz", "b71731f7eb03e3b2080f6329f0c696482b27287f88a921c53d5323d748b5ac4d",
        bf16_agrees=True,
    ),
    Network(
        "v1", "penumbra_densenet121_v1.npz", "2fae244915858a9ad29739b6df38e40aee58c471316eb3dbf2bb3e6e21a2f16f",
        bf16_agrees=True,
    ),
)  # fmt: skip
"""Oldest first. `densenet121-xray`, `-container` and `-chest` are always the last one's; the sets of those before it
are known by the same names and their version (`densenet121-xray-v0`), so that stores that have them go on with them
(docs/decisions/0020). A new network is a line here, made by `python -m app.features.bundle`."""

CURRENT = NETWORKS[-1]


@dataclass(frozen=True, slots=True)
class KnownFeatureSet:
    """A feature set whose weights are known by their contents, so that no other file can take its name.

    `superseded_by`: the set of the newest bundled network that took this one's place. `version`: of the bundled
    network, None where it is not ours.
    """

    name: str
    weights_digest: str
    licence: str
    source: str
    bundled: str | None = None
    downloadable: bool = False
    bf16_agrees: bool = False
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    version: str | None = None
    superseded_by: str | None = None

    @property
    def golden(self) -> str:
        """The stem of its golden vectors' file, the same before and after a newer network ships."""
        plain = self.superseded_by or self.name
        return f"{plain}-{self.version}" if self.version else plain

    @property
    def spec(self) -> FeatureSetSpec:
        steps = self.preprocessing
        return FeatureSetSpec(self.name, BUNDLED_BACKBONE, self.weights_digest, steps, input_size=steps.height)


def sets_of(network: Network, *, current: bool) -> Iterator[KnownFeatureSet]:
    """The feature sets of a bundled network: plain pixels, and what each profile prepares."""
    kinds = {"xray": Preprocessing()} | {profile: Preprocessing.of_profile(profile) for profile in PROFILES}
    for kind, steps in kinds.items():
        name = f"densenet121-{kind}"
        yield KnownFeatureSet(
            name=name if current else f"{name}-{network.version}",
            weights_digest=network.weights_digest,
            licence="Apache-2.0",
            source=f"trained for Penumbra, see {network.file.removesuffix('.npz')}.md",
            bundled=network.file,
            bf16_agrees=network.bf16_agrees,
            preprocessing=steps,
            version=network.version,
            superseded_by=None if current else name,
        )


IMAGENET = KnownFeatureSet(
    name="densenet121-imagenet",
    weights_digest="838754045e0ee62648dac725486fa37437101d25468a610b3d4898659f1cba1a",
    licence="BSD-3-Clause",
    source="keras.applications.DenseNet121",
    downloadable=True,
)


def known_sets(networks: Sequence[Network]) -> dict[str, KnownFeatureSet]:
    """By name: those of the last of `networks`, ImageNet's, and those that the last one's took the place of."""
    earlier = [known for network in networks[:-1] for known in sets_of(network, current=False)]
    return {known.name: known for known in (*sets_of(networks[-1], current=True), IMAGENET, *earlier)}


KNOWN: Mapping[str, KnownFeatureSet] = known_sets(NETWORKS)


def successor(digest: str) -> str | None:
    """The name of the set that took the place of the one of this digest; None where none did."""
    return next((one.superseded_by for one in KNOWN.values() if one.superseded_by and one.spec.digest == digest), None)


def versions(name: str) -> list[str]:
    """`name`, and the names of the sets that it took the place of, newest first."""
    return [name, *reversed([one.name for one in KNOWN.values() if one.superseded_by == name])]
