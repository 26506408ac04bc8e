import importlib
import pathlib
import re
import sys
import textwrap

import gin
import keras
import pytest

from configs import loader, registry, statements  # noqa: F401
from train import experiment, tuning

ROOT = pathlib.Path(__file__).parents[2]
RUN = ("prepare", "split", "train", "evaluate")


def load(*lines, file="synthetic_resnet_v2.gin"):
    """Key -> value of what holds, of an experiment and more lines."""
    bindings = loader.load([str(file)], lines, RUN, experiment.ENTRY_POINTS)
    return {one.key: one.value for one in bindings}


def refused(*lines, file="synthetic_resnet_v2.gin"):
    with pytest.raises(statements.ConfigError) as caught:
        load(*lines, file=file)
    return str(caught.value)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a user's module into the current folder; its names are the test's own."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_every_mistake_names_the_file_and_the_line(tmp_path):
    file = tmp_path / "mine.gin"
    file.write_text("include 'synthetic_resnet_v2.gin'\n\ntrain.epoch = 3\n")
    assert refused(file=file) == (
        f"{file}, line 3: 'train' has no parameter 'epoch'. Did you mean 'epochs'?"
    )


NAMES = {
    "trian.epochs = 3": "there is no function or class 'trian'. Did you mean 'train'?",
    "train.model = @resnet_v3": (
        "there is no function or class 'resnet_v3'. Did you mean 'resnet_v2'?"
    ),
    "train.optimizer = @keras.optimizer.Adam": (
        "there is no function or class 'keras.optimizer.Adam'. Did you mean "
        "'keras.optimizers.Adam'?"
    ),
    "train.epoch = 3": "'train' has no parameter 'epoch'. Did you mean 'epochs'?",
    "Adam.kwargs = {}": "'Adam' has no parameter 'kwargs'. It has: amsgrad, beta_1, ",
    "idrid.fold = 3": "'idrid' has no parameter 'fold'. It has: name.",
    "resnet_v2.num_outputs = 3": (
        "resnet_v2.num_outputs cannot be bound: code supplies it."
    ),
    "EPOCHS = 3": (
        "nothing uses the macro 'EPOCHS'. Use it as %EPOCHS or remove it. A parameter "
        "is bound as name.parameter = ..."
    ),
    "train.epochs = %EPOCHS": "there is no macro %EPOCHS. Bind it: EPOCHS = ...",
    "N = 3\ntrain.epochs = %M": "there is no macro %M. Bind it: M = ...",
    "EPOCHS = 3\ntrain.epochs = %EPOCS": (
        "there is no macro %EPOCS. Did you mean 'EPOCHS'?"
    ),
    "A = %B\nB = (1, %A)\ntrain.seed = %A": "the macro 'B' stands for itself.",
    "val/evaluate.seed = 3": (
        "nothing enters the scope 'val', so val/evaluate.seed would have no effect."
    ),
    "train.loss = @mine/SparseCategoricalCrossentropy()\n"
    "mien/SparseCategoricalCrossentropy.ignore_class = 3": (
        "nothing enters the scope 'mien', so mien/SparseCategoricalCrossentropy"
        ".ignore_class would have no effect. Did you mean 'mine'?"
    ),
    "train.loss = @my/SparseCategoricalCrossentropy()\nmy/augment.zoom = 0.1": (
        "nothing uses 'augment' in the scope 'my', so my/augment.zoom would have no"
    ),
    "AdamW.learning_rate = 1.0": (
        "nothing uses 'AdamW', so AdamW.learning_rate would have no effect. Did you "
        "mean 'Adam'?"
    ),
    "Adam.learning_rate = @cosine()": (
        "cosine.learning_rate has no value. Bind it: cosine.learning_rate = ..."
    ),
    "include 'models/resnet.gin'": (
        "there is no gin file 'models/resnet.gin'. Looked in"
    ),
    "import no_such_module": (
        "cannot import no_such_module: No module named 'no_such_module'. The module "
        "must lie in the current folder or be installed."
    ),
}


@pytest.mark.parametrize("lines", NAMES)
def test_a_name_that_is_misspelt_missing_or_unused_is_an_error(lines):
    assert refused(lines).startswith(f"--gin_bindings={lines!r}: {NAMES[lines]}")


SGD = "train.optimizer = @keras.optimizers.SGD\nSGD.learning_rate = 0.01\n"


@pytest.fixture
def read(tmp_path):
    """The files of a command: `read(text, text, ..., lines=())`."""

    def load(*texts, lines=()):
        files = []
        for number, text in enumerate(texts):
            files.append(tmp_path / f"{number}.gin")
            files[-1].write_text(text)
        loader.load(
            [str(one) for one in files],
            lines,
            RUN,
            experiment.ENTRY_POINTS,
            written=True,
        )

    return load


def test_a_line_of_ones_own_file_that_changes_nothing_is_an_error(read, tmp_path):
    own = f"include 'synthetic_resnet_v2.gin'\n{SGD}Adam.learning_rate = 5e-4\n"
    expected = (
        f"{tmp_path}/0.gin, line 4: nothing uses 'Adam', so Adam.learning_rate would "
        "have no effect."
    )
    with pytest.raises(statements.ConfigError, match=re.escape(expected)):
        read(own)
    # In a file behind another one as well.
    with pytest.raises(
        statements.ConfigError, match=re.escape("1.gin, line 1: nothing")
    ):
        read(f"include 'synthetic_resnet_v2.gin'\n{SGD}", "Adam.beta_1 = 0.5\n")
    # A copy that a run or a search has kept.
    (tmp_path / "own.gin").write_text(own)
    loader.load([str(tmp_path / "own.gin")], [], RUN, experiment.ENTRY_POINTS)
    for kept in (gin.config_str(), tuning.experiment_text(gin.config_str())):
        assert "\nAdam.learning_rate = 0.0005" in kept
        read(kept)


def test_a_line_that_a_scope_overrides_everywhere_is_told_with_what_does(read):
    text = "include 'synthetic_resnet_v2.gin'\ntrain.loss = @s/focal()\n"
    with pytest.raises(statements.ConfigError) as caught:
        read(f"{text}focal.gamma = 1.0\ns/focal.gamma = 2.0\n")
    said = str(caught.value)
    assert "line 3: s/focal.gamma takes its place, " in said
    assert said.endswith("line 4, so focal.gamma would have no effect.")


def test_what_is_made_useless_elsewhere_is_no_mistake(read, tmp_path):
    read(f"include 'synthetic_resnet_v2.gin'\n{SGD}")  # adam.gin is included.
    adam = "include 'synthetic_resnet_v2.gin'\nAdam.learning_rate = 5e-4\n"
    read(adam, SGD)
    read(adam, lines=SGD.splitlines())
    read("Adam.learning_rate = 5e-4\n", "include 'synthetic_resnet_v2.gin'\n")
    read("include 'synthetic_resnet_v2.gin'\nexport.name = 'small'\n")  # For a mode.


TYPES = {
    "train.epochs = '3'": "of type int. Received: '3', of type str.",
    "train.epochs = 3.0": "of type int. Received: 3.0, of type float.",
    "train.epochs = True": "of type int. Received: True, of type bool.",
    "train.epochs = @referable()": "of type int. Received: @referable().",
    "resnet_v2.widths = [16, 32]": (
        "of type tuple[int, ...]. Received: [16, 32], of type list."
    ),
    "resnet_v2.widths = (16)": (
        "of type tuple[int, ...], as in (16,), with a comma. Received: 16, of type int."
    ),
    "resnet_v2.widths = (16, '32', 64)": (
        "of type tuple[int, ...]. Received: (16, '32', 64), of type tuple."
    ),
    "evaluate.splits = ('test')": (
        "of type Sequence[str], as in ('test',), with a comma. Received: 'test', of "
        "type str."
    ),
    "prepare.jpeg_quality = '90'": "of type int | None. Received: '90', of type str.",
    "train.keep = 'beste'": "one of 'best', 'last'. Received: 'beste', of type str.",
    "train.model = 5": "of type Callable[..., Model]. Received: 5, of type int.",
    "train.model = 'resnet_v2'": "of type Callable[..., Model]. Received: 'resnet_v2'",
    "train.model = @resnet_v2()": (
        "@resnet_v2, uncalled, without (). Received: @resnet_v2()."
    ),
    "train.model = @Adam": "of type Callable[..., Model]. Received: @Adam.",
    "train.optimizer = @keras.optimizers.SGD()": (
        "@SGD, uncalled, without (). Received: @SGD()."
    ),
    "train.task = @referable": "@referable(), called, with (). Received: @referable.",
    "train.task = @augment()": "of type Task. Received: @augment().",
    "train.callbacks = (@EarlyStopping,)": (
        "(@EarlyStopping(),), called, with (). Received: (@EarlyStopping,), of type "
    ),
    "training_stream.augment = @augment": (
        "@augment(), called, with (). Received: @augment."
    ),
    "training_stream.sampler = @oversample()": (
        "@oversample, uncalled, without (). Received: @oversample()."
    ),
    "Adam.learning_rate = '1e-3'": (
        "a number, like its default 0.001. Received: '1e-3', of type str."
    ),
    "Adam.learning_rate = @cosine": ("@cosine(), called. Received: @cosine."),
    "SparseCategoricalCrossentropy.from_logits = 1": (
        "True or False, like its default False. Received: 1, of type int."
    ),
}


@pytest.mark.parametrize("line", TYPES)
def test_a_value_of_the_wrong_type_is_an_error(line):
    key = line.partition(" = ")[0]
    message = f"--gin_bindings={line!r}: {key} must be {TYPES[line]}"
    assert refused(line).startswith(message)


def test_a_macro_is_checked_as_the_value_that_it_stands_for():
    line = "SIZE = '256'\nHALF = %SIZE\nprepare.image_size = %HALF"
    assert refused(line).endswith(
        "prepare.image_size must be of type int. Received: %HALF, which is '256', of "
        "type str."
    )
    line = "W = '16'\nresnet_v2.widths = (8, %W)"
    assert refused(line).endswith(
        "Received: (8, %W), which is (8, '16'), of type tuple."
    )


@pytest.mark.parametrize(
    "lines",
    [
        "prepare.jpeg_quality = None",
        "prepare.jpeg_quality = 90",
        "augment.zoom = 0",  # an int where a float is asked for
        "training_stream.augment = None",
        "train.callbacks = [@EarlyStopping(), @ReduceLROnPlateau()]",
        "train.strategy = @MirroredStrategy",
        "train.output = @softmax()",
        "evaluate.splits = ['test']",
        "W = 16\nresnet_v2.widths = (%W, %W, 32)",
        "Adam.learning_rate = @cosine()\ncosine.warmup_epochs = 2\n"
        "cosine.learning_rate = 1e-3",
        "train.loss = @a/b/SparseCategoricalCrossentropy()\n"
        "a/SparseCategoricalCrossentropy.from_logits = True\n"
        "a/b/SparseCategoricalCrossentropy.name = 'loss'",
    ],
)
def test_what_is_right_is_accepted(lines):
    load(lines)


def test_without_a_file_a_missing_value_is_an_error(tmp_path):
    file = tmp_path / "empty.gin"
    file.write_text("")
    assert refused(file=file) == (
        f"{file}: prepare.datasets has no value. Bind it: prepare.datasets = ..."
    )


def test_parts_of_an_experiment_alone_are_an_error_that_names_experiments(tmp_path):
    part = pathlib.Path(loader.__file__).parent / "datasets" / "idrid.gin"
    message = refused(file=part)
    assert "train." in message and " has no value. Bind it: train." in message
    assert "By itself this is only a part of an experiment. Name one before" in message
    assert "idrid_resnet_v2.gin, " in message
    file = tmp_path / "mine.gin"
    file.write_text("prepare.datasets = [@idrid()]")
    assert "only a part" not in refused(file=file)


def test_a_later_binding_overrides_an_earlier_one_under_any_spelling():
    bound = load(
        "keras.optimizers.Adam.learning_rate = 2e-3",
        "Adam.learning_rate = 3e-3",
        "optimizers.Adam.learning_rate = 4e-3",
    )
    assert bound["Adam.learning_rate"] == 4e-3
    assert gin.get_configurable(keras.optimizers.Adam)().learning_rate == 4e-3


def test_what_is_bound_for_another_mode_has_an_effect():
    load("doctor.repair = True")


def test_the_innermost_scope_decides():
    load(
        "train.loss = @a/SparseCategoricalCrossentropy()\n"
        "a/SparseCategoricalCrossentropy.name = 'scoped'"
    )
    assert gin.query_parameter("train.loss").scoped_configurable_fn().name == "scoped"


def test_two_functions_of_one_name_must_be_told_apart(module):
    module("rival", "import gin\n@gin.register\ndef any_dr() -> int: return 1\n")
    try:
        assert refused("import rival\ntrain.task = @any_dr()").endswith(
            "'any_dr' is ambiguous. Write one of rival.any_dr, tasks.any_dr."
        )
        bound = load("import rival\ntrain.task = @tasks.any_dr()")
        assert repr(bound["train.task"]) == "@tasks.any_dr()"
    finally:
        gin.config._REGISTRY.pop("rival.any_dr")


NET = """
import gin, keras

@gin.register
def {name}(image_size, num_outputs, width=8):
    x = inputs = keras.Input((image_size, image_size, 3))
    x = keras.layers.Conv2D(width, 3, 2, name="feature_map")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))
"""


def test_a_users_model_in_the_current_folder_needs_no_change_here(module):
    module("my_net", NET.format(name="net_of_mine"))
    load("import my_net", "train.model = @net_of_mine", "net_of_mine.width = 4")
    build = gin.query_parameter("train.model").scoped_configurable_fn
    assert build(image_size=32, num_outputs=2).get_layer("feature_map").filters == 4


def test_a_users_model_is_not_called_by_gin(module):
    module("my_other_net", NET.format(name="other_net_of_mine"))
    assert refused("import my_other_net\ntrain.model = @other_net_of_mine()").endswith(
        "train.model must be @other_net_of_mine, uncalled, without (). Received: "
        "@other_net_of_mine()."
    )


def test_a_users_model_may_be_a_class(module):
    module(
        "my_class",
        """
        import gin, keras

        @gin.register
        class NetOfMine(keras.Model):
            def __init__(self, image_size, num_outputs, width: int = 8, **rest):
                super().__init__(**rest)
                self.width = width
        """,
    )
    lines = "import my_class\ntrain.model = @NetOfMine"
    load(lines, "NetOfMine.width = 4")
    build = gin.query_parameter("train.model").scoped_configurable_fn
    assert build(image_size=32, num_outputs=2).width == 4
    assert "NetOfMine.width must be of type int" in refused(
        lines, "NetOfMine.width = '4'"
    )
    assert "'NetOfMine' has no parameter 'rest'" in refused(lines, "NetOfMine.rest = 4")


def test_a_users_dataset_is_made_with_its_own_parameters(module):
    module(
        "my_data",
        """
        import gin
        from input_pipeline.datasets import dataset

        @gin.register
        def clinic(*, folder: str) -> dataset.Dataset:
            return dataset.Dataset(folder, "*.jpg", lambda data_dir: [])
        """,
    )
    lines = "import my_data\nprepare.datasets = [@clinic()]"
    assert refused(lines).endswith(
        "clinic.folder has no value. Bind it: clinic.folder = ..."
    )
    load(lines, "clinic.folder = 'north'")
    (clinic,) = gin.query_parameter("prepare.datasets")
    assert clinic.scoped_configurable_fn().name == "north"


def test_what_a_users_function_expects_of_code_is_told(module):
    module(
        "my_strict_net",
        "import gin\n@gin.register\ndef strict_net(*, image_size, num_outputs): ...\n",
    )
    assert refused("import my_strict_net\ntrain.model = @strict_net").endswith(
        "strict_net.image_size has no value. Bind it: strict_net.image_size = ... If "
        "code supplies it, name it in gin.register's `denylist`."
    )


def test_a_users_module_that_does_not_work_says_why(module):
    assert refused("import not_there").endswith(
        "cannot import not_there: No module named 'not_there'. The module must lie in "
        "the current folder or be installed."
    )
    module("needs_more", "import not_installed_here\n")
    assert refused("import needs_more").endswith(
        "cannot import needs_more: needs_more.py, line 1: ModuleNotFoundError: No "
        "module named 'not_installed_here'. Install what is missing, or correct the "
        "line."
    )
    module("half_written", "def f(:\n")
    assert "cannot import half_written: invalid syntax" in refused(
        "import half_written"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("kears.layers", "NameError: name 'kears' is not defined"),
        ("{}['a']", "KeyError: 'a'"),
        ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("raise AssertionError", "AssertionError"),
    ],
)
def test_a_programming_error_of_a_users_module_is_told_with_its_line(
    module, line, told
):
    module("wrong", f"def f():\n    {line}\n")
    module("wrong_too", "import wrong\n\nwrong.f()\n")
    assert refused("import wrong_too").endswith(
        f": cannot import wrong_too: wrong.py, line 2: {told}. Correct it."
    )


def test_a_programming_error_of_ours_stays_what_it_is(monkeypatch):
    def broken(name):
        raise TypeError("ours")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(TypeError, match="ours"):
        load("import models.resnet_v2")


def test_a_macro_that_an_experiment_leaves_open_is_told_with_the_file_that_tells():
    message = refused(file="folders_resnet50_any_dr.gin")
    assert re.search(
        r"(\S+folders_resnet50_any_dr\.gin), line \d+: there is no macro %MEAN\. Bind "
        r"it: MEAN = \.\.\. Comments in \1 may tell how it is found\.$",
        message,
    )
    assert refused("train.epochs = %EPOCHS").endswith("Bind it: EPOCHS = ...")


def test_the_current_folder_hides_none_of_our_packages(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise AssertionError\n")
    monkeypatch.chdir(tmp_path)
    load("import models.resnet_v2")


def test_gins_own_text_of_a_config_loads_to_the_same_config(module, tmp_path):
    module("my_third_net", NET.format(name="third_net_of_mine"))
    lines = [
        "import my_third_net",
        "WIDTH = 4",
        "SIZES = (%WIDTH, -2.5e-7, None, {'a': [True, 'it''s']})",
        "train.model = @small/third_net_of_mine",
        "small/third_net_of_mine.width = %WIDTH",
        "train.optimizer = @keras.optimizers.Adam",
        "train.callbacks = [@a/EarlyStopping(), @b/EarlyStopping()]",
        "a/EarlyStopping.patience = 3",
        "b/EarlyStopping.patience = 4",
        "idrid.name = 'a name of more than eighty letters, so that gin breaks the line "
        "of text in which it stands'",
        "train.seed = 3",
        "EarlyStopping.baseline = %SIZES",
    ]
    before = load(*lines)
    text = gin.config_str()
    stored = tmp_path / "config.gin"
    stored.write_text(text)
    assert load(file=stored) == before
    assert gin.config_str() == text


def test_the_operative_config_loads_too(tmp_path):
    load("train.epochs = 3")
    gin.get_configurable("train")()
    stored = tmp_path / "operative_config.gin"
    stored.write_text(gin.operative_config_str())
    lines = ("prepare.datasets = [@idrid()]",)  # It was not called, so is not in there.
    assert load(*lines, file=stored)["train.epochs"] == 3


def test_loading_again_forgets_what_was_loaded_before():
    load("train.seed = 3")
    assert "train.seed" not in load()
    with pytest.raises(ValueError, match="no value bound for parameter 'seed'"):
        gin.query_parameter("train.seed")
