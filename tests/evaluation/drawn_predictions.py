"""What models could say of photographs, drawn at random."""

import numpy as np


def predictions(n, num_classes, seed=0, decimals=8):
    """Labels and probabilities that agree in part; few decimals make ties."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=n)
    distance = np.abs(np.arange(num_classes) - labels[:, None])
    weights = np.exp(generator.normal(size=(n, num_classes)) - distance)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    probabilities = np.floor(probabilities * 10**decimals) / 10**decimals
    probabilities[:, 0] += 1 - probabilities.sum(axis=1)
    return labels, probabilities


def models(n=120, seed=0, **skills):
    """Probabilities of models that see the disease as well as their skill says."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(int)
    shared = generator.normal(size=n)
    made = {}
    for name, skill in skills.items():
        logits = skill * (labels - 0.5) + shared + 0.5 * generator.normal(size=n)
        made[name] = two_columns(1 / (1 + np.exp(-logits)))
    return labels, made


def two_columns(disease):
    """Probabilities of two classes, from those of the disease."""
    return np.stack([1 - disease, disease], axis=1)
