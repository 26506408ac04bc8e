"""The mode verify: a run agrees with itself, or says where it does not."""

from evaluation import verify
from train import commands, run_dir
from train import recipe as recipes


def verify_mode(where: commands.Where) -> str:
    """Computes again what a run states; returns what was compared."""
    recipe = commands.configured(recipes.Recipe)
    run = run_dir.RunDir(where.run_dir)
    run.check_config(where.bindings)
    if where.dry_run:
        return f"Would verify {run.path} and what is in {run.path / run_dir.EVALUATE}."
    return verify.verify(run.path, recipe.task, recipe.output)
