"""The space of a search in tests, and the figures of its trials; no Optuna."""

from train import search_space

SPACE = {
    "Adam.learning_rate": [0.1, 0.01],
    "training_stream.batch_size": [2, 4],
}
METRICS = ("accuracy", "balanced_accuracy", "sensitivity", "auc", "brier")


def parameters(space=None):
    """Those of a space, without asking gin whether there are such bindings."""
    return [
        search_space.Parameter(key, "choice", tuple(values))
        if isinstance(values, list)
        else search_space.Parameter(key, values[0], tuple(values[1:]))
        for key, values in (space or SPACE).items()
    ]
