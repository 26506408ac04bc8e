"""What a search leaves: a table, figures, a page, and the winner's gin file."""

import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from evaluation import table
from input_pipeline import whole_files
from train import (
    averages,
    changes,
    hparams_board,
    outcomes,
    search_space,
    study_table,
    trial,
    winner,
)
from visualization import figures, pages, search_figures

CONFIG = "experiment.gin"
BEST = "best.gin"
PAGE = "report.html"


def write(
    name: str,
    every: Sequence[outcomes.Outcome],
    importance: Mapping[str, float],
    tuner: Any,
    parameters: Sequence[search_space.Parameter],
    metrics: Sequence[str],
    run_dir: pathlib.Path,
    folders: Sequence[str],
    folds: averages.Folds | None,
) -> str:
    """Writes `best.gin`, `trials.csv`, `figures/`, `report.html` and the dashboard.

    Args:
        name: The study's.
        every: All trials.
        importance: Binding -> how much it decides.
        tuner: A `tuning.Tuner`, what the config says about the search.
        parameters: The space.
        metrics: Names of the figures that a trial has.
        run_dir: The search's own directory.
        folders: The flags that say where photographs are.
        folds: Those that a trial is averaged over, where they are several.

    Returns:
        The table of trials, and what to think of it.

    Raises:
        ValueError: No trial is done.
    """
    objective = tuner.objective
    for one in every:
        hparams_board.write_trial(run_dir, one)
    csv = study_table.to_csv(every, parameters, metrics, tuner.repeats, objective)
    whole_files.write_text(run_dir / "trials.csv", csv)
    ranked = outcomes.ranked(every, tuner.direction)
    rows = [*ranked, *(one for one in every if one.state != "done")]
    tables = study_table.render(rows, parameters, objective)
    reasons = [
        f"Trial {one.number} {one.state}: {one.reason}" for one in every if one.reason
    ]
    if not ranked:
        raise ValueError("\n\n".join(["No trial is done.", tables, *reasons]))

    run_dirs = {
        one.number: trial.folder(run_dir, one.number, tuner.repeats[0])
        for one in ranked
    }
    rivals = winner.rivals(ranked, objective, run_dirs, folds)
    doubtful, verdict = winner.verdict(ranked, rivals, objective)
    floor = winner.noise(ranked, tuner.repeats)
    noise = winner.say_noise(floor, objective, tuner.repeats)
    found, names = [], {}
    if tuner.one_at_a_time:
        names = changes.names(every, parameters)
        found = changes.against_first(every, objective, run_dirs, folds)
        noise = changes.say_noise(every, found, objective) or noise
    shares = _short(importance)
    files = [f"--gin_file={run_dir / BEST}", f"--run_dir={run_dir / 'best'}"]
    command = shlex.join(["python", "main.py", *files, *folders])
    whole_files.write_text(
        run_dir / BEST, _best_gin(name, ranked[0], objective, tuner.repeats, command)
    )
    reach = None if floor is None else floor.reach / len(tuner.repeats) ** 0.5
    drawn = _draw(ranked, parameters, shares, objective, reach)
    if found:
        drawn["changes"] = search_figures.changes(
            [names[one.number] for one in found],
            [one.difference for one in found],
            [None if one.low is None else (one.low, one.high) for one in found],
            table.label(objective),
        )
    for title, figure in drawn.items():
        (run_dir / "figures").mkdir(exist_ok=True)
        figures.save(figure, run_dir / "figures" / f"{title}.png")
    page = pages.render(
        "search.html",
        name=name,
        tuner=tuner,
        label=table.label(objective),
        rows=rows,
        best=ranked[0],
        rivals={one.number: one for one in rivals},
        names=outcomes.short_names([one.key for one in parameters]),
        parameters=parameters,
        changes=found,
        changed=names,
        why_no_changes="" if found else changes.why_not(every[0]),
        doubtful=doubtful,
        verdict=verdict,
        optimism=winner.OPTIMISM,
        noise=noise,
        importance=shares,
        reasons=reasons,
        command=command,
        config=(run_dir / CONFIG).read_text(encoding="utf-8"),
        pictures={title: pages.figure(figure) for title, figure in drawn.items()},
        shown=study_table.shown,
        figure=study_table.figure,
        duration=study_table.duration,
    )
    whole_files.write_text(run_dir / PAGE, page)
    verdict = f"{'Warning: ' if doubtful else ''}{verdict}"
    said = [tables, *reasons]
    if found:
        said.append(changes.render(every[0], found, names, objective))
    elif tuner.one_at_a_time:
        said.append(changes.why_not(every[0]))
    said += [verdict, winner.OPTIMISM, noise]
    said.append(_say_importance(shares, len(ranked)))
    said.append(
        f"To train and test the winner: {command}\n"
        f"Report: {run_dir / PAGE}\n"
        f"Dashboard: tensorboard --logdir={run_dir / hparams_board.FOLDER}"
    )
    return "\n\n".join(said)


def _say_importance(shares: Mapping[str, float], done: int) -> str:
    if not shares:
        return "Importance: not known, as too few trials that are done differ."
    listed = ", ".join(f"{key} {100 * one:.0f} %" for key, one in shares.items())
    return f"Importance (fANOVA, roughly, of {done} trials): {listed}."


def _short(importance: Mapping[str, float]) -> dict[str, float]:
    names = outcomes.short_names(list(importance))
    return {names[key]: share for key, share in importance.items()}


def _best_gin(
    name: str,
    best: outcomes.Outcome,
    objective: str,
    repeats: Sequence[Mapping[str, str]],
    command: str,
) -> str:
    mean = ""
    if len(repeats) > 1:
        over = " and ".join(repeats[0])
        mean = (
            f"#\n# That is the mean of {len(repeats)} runs, over {over}: the command "
            "trains one,\n# with what the experiment has there.\n"
        )
    lines = "".join(f"{key} = {text}\n" for key, text in best.point.items())
    return (
        f"# Trial {best.number} of the search {name!r}, the best of its trials: "
        f"{table.label(objective)} {best.value:.4f}\n"
        f"# on the validation photographs, by which it was chosen.\n{mean}"
        f"#\n# {command}\n\ninclude '{CONFIG}'\n\n{lines}"
    )


def _draw(
    ranked: Sequence[outcomes.Outcome],
    parameters: Sequence[search_space.Parameter],
    importance: Mapping[str, float],
    objective: str,
    noise: float | None,
) -> dict[str, Figure]:
    """File name -> figure."""
    values, label = [one.value for one in ranked], table.label(objective)
    names = outcomes.short_names([one.key for one in parameters])
    drawn = {
        "trials": search_figures.trials(
            [f"trial {one.number}" for one in ranked],
            values,
            [one.interval(objective) for one in ranked],
            label,
            noise,
        ),
        "parameters": search_figures.parameters(
            {
                names[one.key]: [each.values[one.key] for each in ranked]
                for one in parameters
            },
            values,
            label,
        ),
    }
    if importance:
        drawn["importance"] = search_figures.importance(importance)
    return drawn
