"""The mode prepare: photographs become records, and are audited."""

from input_pipeline import audit, prepare
from train import commands, data


def prepare_mode(where: commands.Where) -> str:
    """Prepares and audits the photographs; returns what was made and found."""
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    if where.dry_run:
        photographs = data.photographs(preparation, where)
        auditor.decide(photographs)
        return data.plan(preparation, where)
    audited = data.audited(preparation, auditor, where)
    return f"{prepare.sizes(audited.collection)}\n{audited.summary()}"
