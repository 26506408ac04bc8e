"""The mode tune: hyperparameters are searched on the validation photographs."""

import signal

from train import commands, tuning


def tune_mode(where: commands.Where) -> str:
    """Searches hyperparameters; returns the table of trials."""
    # A search that is told to end, or whose terminal is closed, ends its trials first.
    for one in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(one) is signal.SIG_DFL:  # As nohup has it, that stays.
            signal.signal(one, signal.default_int_handler)
    tuner = commands.configured(tuning.Tuner)
    return tuner.run(where.data_dirs, where.prepared_dir, where.run_dir, where.dry_run)
