import keras
import numpy as np
import pytest

from evaluation import networks


def network(seed):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="feature_map")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=one.shape) for one in model.get_weights()])
    return model


@pytest.fixture
def answering():
    """Two seeds on each of two folds: the photographs a and b, and c and d."""
    found = [
        networks.Network(f"fold-{fold}-seed-{seed}", network(2 * seed + fold), train)
        for seed in (0, 1)
        for fold, train in enumerate((["c", "d"], ["a", "b"]))
    ]
    return networks.Answering(found, network(9))


def test_a_photograph_has_the_average_of_those_that_do_not_know_it(answering):
    first, again, other, test = answering(["a", "b", "c", "t"])
    assert first is again and first is not other
    assert test is answering.together
    pictures = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3))
    models = [one.model for one in answering.networks]
    for found, some in ((first, models[::2]), (other, models[1::2])):
        expected = np.mean([one(pictures) for one in some], axis=0)
        np.testing.assert_allclose(found(pictures), expected, atol=1e-5)
    assert answering.names(["a", "t"]) == [
        "fold-0-seed-0 fold-0-seed-1",
        "fold-0-seed-0 fold-1-seed-0 fold-0-seed-1 fold-1-seed-1",
    ]


def test_one_that_answers_alone_is_not_averaged(answering):
    alone = networks.Answering(answering.networks[:2], answering.together)
    assert alone(["a"]) == [answering.networks[0].model]


def test_copies_of_what_a_network_knows_are_not_its_to_answer(answering):
    # The copy that comes first, x, was left out of all splits.
    assert answering([["x", "a"]]) == answering(["a"])
    assert answering([[]]) == [answering.together]
    # One copy in each fold: nobody is left that has not trained on it.
    assert answering([["a", "c"]]) == [answering.together]
    found = answering.trained_on(["a", "c", "t", ["a", "c"], ["x", "a"], []])
    assert found.tolist() == [False, False, False, True, False, False]


def test_a_photograph_that_was_not_drawn_is_not_trained_on():
    found = [networks.Network(one, network(0), ["a"], ["b"]) for one in "xy"]
    answering = networks.Answering(found, network(9))
    assert answering.trained_on(["a", "b"]).tolist() == [True, False]


def test_networks_take_turns_where_they_know_different_photographs(answering):
    assert answering.by_turns
    alike = [networks.Network(one, network(0), ["a"]) for one in "xy"]
    assert not networks.Answering(alike, network(9)).by_turns


def test_each_network_is_grouped_with_its_own_places(answering):
    by = answering(["a", "c", "b"])
    found = [(model, places.tolist()) for model, places in networks.grouped(by)]
    assert found == [(by[0], [0, 2]), (by[1], [1])]


def test_no_photographs_need_no_network(answering):
    assert answering([]) == []
