"""DenseNet121 laid out for training: on PyTorch channels first, elsewhere channels last. Loads Keras.

Keras's own DenseNet121 is channels last only, and on PyTorch's CPU backend every layer of it then copies its input:
23 scans a second forward and backward at 112 pixels, where this one reaches 48 (two cores with AMX, bf16, 2026-11-30).
Arrays have the same names and shapes, so that weights move between the two as they are.
"""

from typing import Any

import keras
from keras import layers

from app.features.weights.arrays import BLOCK_LAYERS, BOTTLENECK, GROWTH

Tensor = Any
EPSILON = 1.001e-5
STEM = 64


def channels_first() -> bool:
    return bool(keras.config.backend() == "torch")


def channel_axis() -> int:
    return 1 if channels_first() else -1


def spatial_axes() -> tuple[int, int]:
    return (2, 3) if channels_first() else (1, 2)


class Normalisation(layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Batch normalisation by PyTorch's own kernel where that is the backend: Keras's is made of many small ones."""

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        if keras.config.backend() != "torch" or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        from torch.nn.functional import batch_norm  # noqa: PLC0415 - an optional backend

        return batch_norm(
            inputs, self.moving_mean.value, self.moving_variance.value, self.gamma.value, self.beta.value,
            bool(training), 1 - self.momentum, self.epsilon,
        )  # fmt: skip


def densenet121() -> keras.Model:
    """Normalised RGB of any size to the last feature map, after its ReLU; weights by Keras's initialisers.

    Source: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017, table 1.
    """
    layout = "channels_first" if channels_first() else "channels_last"
    scan = keras.Input((3, None, None) if channels_first() else (None, None, 3))
    x = layers.ZeroPadding2D(3, data_format=layout)(scan)
    x = _normalised(_convolution(x, STEM, 7, "conv1_conv", strides=2), "conv1_bn")
    x = layers.ZeroPadding2D(1, data_format=layout)(x)
    x = layers.MaxPooling2D(3, 2, data_format=layout, name="pool1")(x)
    channels = STEM
    for block, count in enumerate(BLOCK_LAYERS, start=2):
        for layer in range(1, count + 1):
            x = _dense_layer(x, f"conv{block}_block{layer}")
        channels += count * GROWTH
        if block <= len(BLOCK_LAYERS):
            channels //= 2
            x = _convolution(_normalised(x, f"pool{block}_bn"), channels, 1, f"pool{block}_conv")
            x = layers.AveragePooling2D(2, 2, data_format=layout, name=f"pool{block}_pool")(x)
    return keras.Model(scan, _normalised(x, "bn"), name="densenet121")


def _dense_layer(x: Tensor, name: str) -> Tensor:
    y = _convolution(_normalised(x, f"{name}_0_bn"), BOTTLENECK, 1, f"{name}_1_conv")
    y = _convolution(_normalised(y, f"{name}_1_bn"), GROWTH, 3, f"{name}_2_conv", padding="same")
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, y])


def _normalised(x: Tensor, name: str) -> Tensor:
    x = Normalisation(axis=channel_axis(), epsilon=EPSILON, momentum=0.98, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x: Tensor, channels: int, size: int, name: str, **options: Any) -> Tensor:
    layout = "channels_first" if channels_first() else "channels_last"
    return layers.Conv2D(channels, size, use_bias=False, data_format=layout, name=name, **options)(x)
