"""Optuna's samplers and pruners, for a gin file that says `import train.samplers`."""

import gin
from optuna import pruners, samplers

# A grid needs none, and one objective neither NSGA-III nor Wilcoxon's pruner, which is
# for figures of many photographs and not for a curve.
_SAMPLERS = (
    samplers.CmaEsSampler,
    samplers.GPSampler,
    samplers.NSGAIISampler,
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
