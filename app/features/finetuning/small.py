"""A small convolutional network to train from scratch, as the baselines of the field are. Loads Keras."""

import keras

WIDTHS = (16, 32, 64, 128, 256)


def small_cnn(
    *, include_top: bool = False, weights: str | None = None, input_shape: tuple[int, int, int]
) -> keras.Model:
    """Five blocks of 3x3 convolution, batch normalisation and ReLU, halved in between; called as Keras's own are.

    Normalised RGB float32 (n, h, w, 3) to its last feature map, (n, h // 16, w // 16, 256), after its ReLU.
    394,000 weights; 0.11 (150 px) or 0.25 (224 px) thousand million multiplications a scan.
    Raises ValueError for a top or for pretrained weights, of which there are none.
    """
    if include_top or weights is not None:
        raise ValueError("A small CNN has no top and no pretrained weights: train it from scratch")
    scan = keras.Input(input_shape)
    x = scan
    for block, width in enumerate(WIDTHS, start=1):
        if block > 1:
            x = keras.layers.MaxPooling2D(name=f"pool{block - 1}")(x)
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv{block}")(x)
        # A short memory: some hundred steps are all there are, and the statistics must be those of the end.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{block}")(x)
        x = keras.layers.ReLU(name=f"relu{block}")(x)
    return keras.Model(scan, x, name="small_cnn")
