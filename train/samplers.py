"""Optuna's samplers and pruners, for a gin file that says `import train.samplers`."""

import gin
from optuna import pruners, samplers

_SAMPLERS = (
    samplers.GPSampler,
    samplers.QMCSampler,
    samplers.RandomSampler,
    samplers.TPESampler,
)
_PRUNERS = (
    pruners.HyperbandPruner,
    pruners.MedianPruner,
    pruners.PatientPruner,
    pruners.PercentilePruner,
    pruners.SuccessiveHalvingPruner,
    pruners.ThresholdPruner,
)
NAMES = frozenset(one.__name__ for one in (*_SAMPLERS, *_PRUNERS))

for one in _SAMPLERS:
    gin.register(module="optuna.samplers")(one)
for one in _PRUNERS:
    gin.register(module="optuna.pruners")(one)
