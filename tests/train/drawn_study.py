"""Studies of a grid of one parameter; no TensorFlow."""

from train import search_space, study


def make(folder, trials=3, url=None, **settings):
    """A study named "drawn" of `a.x` from 0 on."""
    parameter = search_space.Parameter("a.x", "choice", tuple(range(trials)))
    given = {
        "parameters": [parameter],
        "points": search_space.grid([parameter]),
        "about": {"experiment": "a = 1\n"},
        "direction": "maximize",
        "sampler": None,
        "pruner": None,
    }
    return study.Study("drawn", url, folder, **(given | settings))
