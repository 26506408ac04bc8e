"""The mode tune: hyperparameters are searched on the validation photographs."""

from train import commands, tuning


def tune_mode(where: commands.Where) -> str:
    """Searches hyperparameters; returns the table of trials."""
    tuner = commands.configured(tuning.Tuner)
    return tuner.run(where.data_dirs, where.prepared_dir, where.run_dir, where.dry_run)
