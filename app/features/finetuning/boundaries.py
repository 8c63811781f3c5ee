"""Where a network is cut into a part that stays as it is and blocks that are trained. Light."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Boundary:
    """The tensor that enters layer `layer`, or leaves it (`after`): everything behind it is trained."""

    layer: str
    after: bool = False


# From the last block backwards. Each is the one tensor through which everything behind it is fed, so that the part
# before it can run once a scan and be kept.
_DENSENET = (Boundary("conv5_block1_0_bn"), Boundary("conv4_block1_0_bn"), Boundary("conv3_block1_0_bn"))
_RESNET = (Boundary("conv5_block1_1_conv"), Boundary("conv4_block1_1_conv"), Boundary("conv3_block1_1_conv"))
_EFFICIENTNET = (Boundary("block7a_expand_conv"), Boundary("block6a_expand_conv"), Boundary("block5a_expand_conv"))
BOUNDARIES: Mapping[str, tuple[Boundary, ...]] = {
    **dict.fromkeys(("densenet121", "densenet169", "densenet201"), _DENSENET),
    **dict.fromkeys(("resnet50", "resnet101"), _RESNET),
    **{f"efficientnetb{size}": _EFFICIENTNET for size in range(5)},
    "inceptionv3": (Boundary("mixed8", after=True), Boundary("mixed7", after=True), Boundary("mixed6", after=True)),
    "xception": (Boundary("block14_sepconv1"), Boundary("block13_sepconv1_act"), Boundary("block12_sepconv1_act")),
    "mobilenetv2": (Boundary("block_16_expand"), Boundary("block_13_expand"), Boundary("block_10_expand")),
    # Too small to be worth a cut in the middle: all but the first two blocks.
    **dict.fromkeys(("small-cnn-150", "small-cnn-224"), (Boundary("conv5"), Boundary("conv4"), Boundary("conv3"))),
}


def boundary(architecture: str, blocks: int) -> Boundary:
    """Where to cut `architecture` to train its last `blocks` blocks. Raises InvalidInput."""
    known = BOUNDARIES.get(architecture)
    if known is None:
        raise InvalidInput(f"{architecture} cannot be fine-tuned; those that can: {', '.join(sorted(BOUNDARIES))}.")
    if not 1 <= blocks <= len(known):
        raise InvalidInput(f"{blocks} blocks of {architecture}: give 1 to {len(known)}.")
    return known[blocks - 1]
