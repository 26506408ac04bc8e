"""The picture of a search in TensorBoard's HParams dashboard, as README shows it.

    python docs/images/search_dashboard.py --run_dir=runs/idrid_grid_search \
        --logarithmic=learning_rate --output=docs/images/search_dashboard.png

It opens the dashboard in headless Chromium (apt-get install chromium chromium-driver;
pip install selenium) and saves one of its views.
"""

import argparse
import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from selenium import webdriver

VIEWS = ("table", "parallel", "scatter")
"""The dashboard's views, in the order of its tabs."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# The dashboard is made of nested components, each with a tree of its own.
_EVERY = """
const every = [];
const visit = root => {
  for (const one of root.querySelectorAll('*')) {
    every.push(one);
    if (one.shadowRoot) visit(one.shadowRoot);
  }
};
visit(document);
const of = name => every.filter(one => one.tagName.toLowerCase() === name);
const inside = (name, what) =>
  of(name).flatMap(one => [...(one.shadowRoot || one).querySelectorAll(what)]);
"""
_COUNTS = f"""{_EVERY}
const rows = inside('tf-hparams-table-view', '*')
  .map(one => one.textContent.trim()).filter(text => /^trial \\d+$/.test(text));
const cells = inside('tf-hparams-scatter-plot-matrix-plot', 'g.frame').length;
const marks = inside('tf-hparams-scatter-plot-matrix-plot', '.data-marker').length;
return {{
  table: new Set(rows).size,
  parallel: inside('tf-hparams-parallel-coords-plot', 'g.foreground path').length,
  scatter: cells ? marks / cells : 0,
}};
"""


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium for the length of a `with` block."""
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1500,950")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()


@contextlib.contextmanager
def served(log_dir: pathlib.Path) -> Iterator[str]:
    """TensorBoard's address for the length of a `with` block."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={log_dir}"]
    with subprocess.Popen(
        [*command, f"--port={port}", "--load_fast=false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("localhost", port)).close()
                    break
                time.sleep(0.2)
            yield f"http://localhost:{port}"
        finally:
            process.terminate()


def open_board(driver: webdriver.Chrome, address: str, trials: int) -> None:
    """Opens the dashboard and waits until every view has been drawn.

    Args:
        driver: The browser.
        address: That of TensorBoard.
        trials: How many trials its table must show; the plots show those of them that
            have a result.

    Raises:
        TimeoutError: It does not within two minutes.
    """
    driver.get(f"{address}#hparams")
    end, before = time.monotonic() + 120, None
    while True:
        shown = counts(driver)
        # One view after the other is drawn, a plot mark by mark.
        if shown["table"] == trials and all(shown.values()) and shown == before:
            return
        if time.monotonic() > end:
            raise TimeoutError(f"Of {trials} trials the views show: {shown}.")
        before = shown
        time.sleep(0.5)


def counts(driver: webdriver.Chrome) -> dict[str, float]:
    """View -> how many trials it shows; the plots show those that have a result."""
    return driver.execute_script(_COUNTS)


def show(driver: webdriver.Chrome, view: str) -> None:
    """Opens one of the views."""
    script = f"{_EVERY} of('paper-tab')[arguments[0]].click();"
    driver.execute_script(script, VIEWS.index(view))
    time.sleep(2)  # It moves there.


def scale_logarithmically(driver: webdriver.Chrome, column: str) -> None:
    """Gives a column of the plots a logarithmic scale, as a person does by a click."""
    script = f"""{_EVERY}
    for (const one of inside('tf-hparams-scale-and-color-controls', '.column'))
      if (one.querySelector('.column-title')?.textContent.trim() === arguments[0])
        [...one.querySelectorAll('paper-radio-button')]
          .find(button => button.textContent.trim() === 'Logarithmic').click();
    """
    driver.execute_script(script, column)
    time.sleep(2)  # It draws anew.


def main() -> None:
    """Saves the picture."""
    parser = argparse.ArgumentParser(description="A picture of a search's dashboard.")
    parser.add_argument("--run_dir", required=True, help="directory of the search")
    parser.add_argument("--output", required=True, help="the picture, a PNG")
    parser.add_argument("--view", choices=VIEWS, default="parallel")
    parser.add_argument("--logarithmic", help="a column of the plots, for its scale")
    asked = parser.parse_args()
    folder = pathlib.Path(asked.run_dir) / "tensorboard"
    trials = len(list(folder.glob("trial-*")))
    if not trials:
        sys.exit(f"error: {folder} has no trials. Search first: --mode=tune.")
    with served(folder) as address, browser() as driver:
        open_board(driver, address, trials)
        show(driver, asked.view)
        if asked.logarithmic:
            scale_logarithmically(driver, asked.logarithmic)
        driver.save_screenshot(asked.output)
        print(f"{asked.output}: {counts(driver)}")


if __name__ == "__main__":
    main()
