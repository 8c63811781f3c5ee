"""The table of architectures: how each is built, what it wants as pixels, and how long its vectors are. Light."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.errors import ConfigurationError
from app.features.spec import FeatureSetSpec
from app.imaging.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

Triple = tuple[float, float, float]

# Each of keras.applications' ways to prepare 0..255, as mean and std of grey in [0, 1] that is repeated thrice.
TORCH = (IMAGENET_MEAN, IMAGENET_STD)
TF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CAFFE = ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255, 1 / 255, 1 / 255))  # BGR, which grey does not show
RAW = ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))  # EfficientNet scales inside its own graph

INT8 = "-int8"


@dataclass(frozen=True, slots=True)
class Backbone:
    """An architecture without its top: normalised RGB (n, h, w, 3) to the last feature map, after its activation.

    builder is `module:function`, imported only where the network is built and called with include_top=False,
    weights=None or "imagenet", and input_shape. dim is the number of channels of the last feature map, and so the
    length of both poolings; input_size the side in pixels it was made for. mean and std are those its pretrained
    weights expect, of values in [0, 1].
    """

    name: str
    builder: str
    input_size: int
    dim: int
    mean: Triple
    std: Triple
    downloadable: bool = True
    source: str = "keras.applications"


def _applications(
    function: str, normalisation: tuple[Triple, Triple], sides_and_dims: tuple[int, int], name: str | None = None
) -> Backbone:
    mean, std = normalisation
    side, dim = sides_and_dims
    return Backbone(name or function.lower(), f"keras.applications:{function}", side, dim, mean, std)


def _small(side: int) -> Backbone:
    mean, std = TF
    builder = "app.features.finetuning.small:small_cnn"
    return Backbone(f"small-cnn-{side}", builder, side, 256, mean, std, downloadable=False, source="trained here")


def _small_cnn(side: int) -> Backbone:
    builder = "app.features.finetuning.small:small_cnn"
    return Backbone(f"small-cnn-{side}", builder, side, 256, *TF, downloadable=False, source="Penumbra")


BACKBONES: Mapping[str, Backbone] = {
    one.name: one
    for one in (
        _applications("DenseNet121", TORCH, (224, 1024)),
        _applications("DenseNet169", TORCH, (224, 1664)),
        _applications("DenseNet201", TORCH, (224, 1920)),
        _applications("ResNet50", CAFFE, (224, 2048)),
        _applications("ResNet101", CAFFE, (224, 2048)),
        _applications("InceptionV3", TF, (299, 2048)),
        _applications("Xception", TF, (299, 2048)),
        _applications("MobileNetV2", TF, (224, 1280)),
        _applications("EfficientNetB0", RAW, (224, 1280)),
        _applications("EfficientNetB1", RAW, (240, 1280)),
        _applications("EfficientNetB2", RAW, (260, 1408)),
        _applications("EfficientNetB3", RAW, (300, 1536)),
        _applications("EfficientNetB4", RAW, (380, 1792)),
        _small_cnn(150),
        _small_cnn(224),
        _small(150),
        _small(224),
    )
}


def describe_backbone(name: str) -> Backbone:
    """The row of `name`. Raises ConfigurationError for one that is not in the table."""
    if name not in BACKBONES:
        raise ConfigurationError(f"There is no backbone {name!r}: use one of {', '.join(sorted(BACKBONES))}.")
    return BACKBONES[name]


def is_int8(backbone: str) -> bool:
    """Whether a spec's backbone is a quantised graph, which only the openvino engine can run."""
    return backbone.endswith(INT8)


def architecture(backbone: str) -> str:
    """The row of the table that a spec's backbone was built from, quantised or not."""
    return backbone.removesuffix(INT8)


def make_spec(
    name: str,
    backbone: str,
    weights_digest: str,
    *,
    profile: str | None = None,
    input_size: int | None = None,
) -> FeatureSetSpec:
    """The spec of a feature set on `backbone`, with the normalisation and (by default) the input size it was made for.

    weights_digest as `install_weights` returns it; profile as `Preprocessing.of_profile` takes it, None for plain
    pixels. Raises ConfigurationError.
    """
    row = describe_backbone(architecture(backbone))
    side = input_size or row.input_size
    steps = Preprocessing.of_profile(profile) if profile else Preprocessing()
    steps = replace(steps, height=side, width=side, mean=row.mean, std=row.std)
    return FeatureSetSpec(name, backbone, weights_digest, steps, side, row.dim, row.dim)
