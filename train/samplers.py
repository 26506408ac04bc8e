"""Optuna's samplers and pruners, for a gin file that says `import train.samplers`."""

import gin
from optuna import pruners, samplers

for one in (
    samplers.GPSampler,
    samplers.QMCSampler,
    samplers.RandomSampler,
    samplers.TPESampler,
):
    gin.register(module="optuna.samplers")(one)
for one in (
    pruners.HyperbandPruner,
    pruners.MedianPruner,
    pruners.PatientPruner,
    pruners.PercentilePruner,
    pruners.SuccessiveHalvingPruner,
):
    gin.register(module="optuna.pruners")(one)
