"""The mode predict: an exported model is asked about a folder of photographs."""

from serving import folder
from train import commands


def predict_mode(where: commands.Where) -> str:
    """Predicts a folder of photographs; returns a summary."""
    predictor = commands.configured(folder.Folder)
    return predictor.run(
        where.exported or where.run_dir / folder.EXPORTED,
        where.photographs,
        where.output_dir,
        where.dry_run,
    )
