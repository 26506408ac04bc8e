"""The heat maps of a report: Grad-CAM of the photographs that it shows."""

from collections.abc import Sequence

import keras
import numpy as np

from evaluation import facts as known
from evaluation import gallery
from models import outputs
from visualization import explainer, grad_cam, layers, overlay

METHOD = grad_cam.GradCam.name
"""What `scores.json` calls the method."""

_BATCH = 16


def make(
    model: keras.Model,
    output: outputs.Output,
    facts: known.Facts,
    ids: Sequence[str],
) -> dict[str, gallery.HeatMap]:
    """Explains photographs by one forward pass each.

    As in the mode `explain` the most probable class that means disease is explained,
    also where the model predicts health.

    Args:
        model: A trained model.
        output: What its logits mean.
        facts: The evaluated run.
        ids: Evaluated photographs; those that nobody has get no map.

    Returns:
        Photograph id -> its map; empty if the model's head has no closed form.

    Raises:
        ValueError: A photograph cannot be read.
    """
    own = [one for one in ids if facts.photograph(one) is not None]
    named = [one for one in layers.leaves(model) if one.name == layers.FEATURE_MAP]
    if not own or len(named) != 1 or grad_cam.find_head(model, *named)[0] is None:
        return {}
    bound = grad_cam.GradCam().bind(model, output)
    chances = {
        one: row
        for said in facts.said.values()
        for one, row in zip(said.ids, said.probabilities, strict=True)
    }
    disease = np.array(facts.disease_classes)
    found = {}
    for start in range(0, len(own), _BATCH):
        some = own[start : start + _BATCH]
        images = np.stack([facts.collection.read_image(one) for one in some])
        ill = np.stack([chances[one][disease] for one in some])
        classes = disease[ill.argmax(axis=1)]
        heatmaps = bound(images, classes)
        seen = explainer.has_evidence(heatmaps)
        for place, one in enumerate(some):
            label = facts.class_labels[classes[place]]
            words = "what speaks for" if seen[place] else "nothing speaks for"
            found[one] = gallery.HeatMap(
                overlay.overlay(images[place], heatmaps[place]),
                f"Grad-CAM: {words} “{label}”",
            )
    return found
