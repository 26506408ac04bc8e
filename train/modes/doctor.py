"""The mode doctor: photographs and records are examined."""

from input_pipeline import doctor, prepare
from train import commands, data


def doctor_mode(where: commands.Where) -> str:
    """Examines photographs and records; returns the findings."""
    preparation = commands.configured(prepare.Preparation)
    data_dirs = preparation.name_folders(where.data_dirs)
    if where.dry_run:
        preparation.read(data_dirs)
        folders = ", ".join(str(one) for one in data.folders(preparation, where))
        return f"Would examine {folders}."
    return commands.configured(
        doctor.doctor, preparation, data_dirs, where.prepared_dir
    )
