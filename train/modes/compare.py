"""The mode compare: evaluated runs beside each other."""

from evaluation import compare
from train import commands


def compare_mode(where: commands.Where) -> str:
    """Compares evaluated runs; returns tables and sentences."""
    return commands.configured(compare.Comparer).run(where.compared, where.dry_run)
