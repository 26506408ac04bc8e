"""TensorBoard's HParams dashboard of a search, opened in headless Chromium.

Where Chromium, its driver or selenium is missing this is skipped, unless the
environment variable RETINOGRAD_NEEDS_BROWSER is set, as CI does: then it fails.
"""

import datetime
import importlib.util
import os
import shutil

import pytest

from tests.train import drawn_space
from train import hparams_board, outcomes, search_space

NOON = datetime.datetime(2026, 1, 2, 12)
SPACE = {
    "Adam.learning_rate": [1e-2, 1e-3, 1e-4, 1e-5],
    "training_stream.batch_size": [2, 4],
    "train.loss": ["focal"],
}


def missing() -> str | None:
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed: pip install selenium"
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        return "Chromium is not installed: apt-get install chromium chromium-driver"
    return None


@pytest.fixture(scope="module")
def dashboard():
    """The module that opens it."""
    if reason := missing():
        if os.environ.get("RETINOGRAD_NEEDS_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from docs.images import search_dashboard

    return search_dashboard


def write_search(folder):
    """Eight trials, of which one has no interval and one failed."""
    parameters = drawn_space.parameters(SPACE)
    metrics = drawn_space.METRICS
    hparams_board.write_experiment(folder, parameters, metrics, "auc")
    for number, point in enumerate(search_space.grid(parameters)):
        entry = {"value": 0.5 + number / 20, "low": 0.4, "high": 0.95}
        if number == 0:
            entry = {"value": 0.5, "low": None, "high": None}
        failed = number == 7
        one = outcomes.Outcome(
            number,
            "failed" if failed else "done",
            values={each.key: each.shown(point[each.key]) for each in parameters},
            figures={} if failed else dict.fromkeys(metrics, entry),
            start=NOON,
            end=NOON + datetime.timedelta(minutes=number + 1),
        )
        hparams_board.write_trial(folder, one)


def test_every_view_shows_every_trial(dashboard, tmp_path):
    write_search(tmp_path)
    folder = tmp_path / hparams_board.FOLDER
    with dashboard.served(folder) as address, dashboard.browser() as driver:
        dashboard.open_board(driver, address, trials=8)
        # A plot has no place for a trial without a result.
        assert dashboard.counts(driver) == {"table": 8, "parallel": 7, "scatter": 7}
        for view in dashboard.VIEWS:
            dashboard.show(driver, view)
            driver.save_screenshot(str(tmp_path / f"{view}.png"))
            assert (tmp_path / f"{view}.png").stat().st_size > 30_000
