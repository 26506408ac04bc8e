import math

import gin
import numpy as np
import pytest
from sklearn.utils import class_weight

from input_pipeline import augment, memory, pipeline, samplers, tasks

AUGMENT = augment.Augmentation(
    rotation_degrees=180, shift=0.05, zoom=0.1, horizontal_flip=True, brightness=0.2
)


@pytest.fixture
def open_stream(prepared, split):
    """Opens a new stream of the training photographs."""
    photographs = {one.id: one for one in prepared.photographs}
    labels = tasks.referable().labels([photographs[one] for one in split.train])

    def open_stream(seed=0, **settings):
        settings = {"batch_size": 4} | settings
        stream = pipeline.TrainingStream(**settings)
        return stream.open(prepared, split.train, labels, seed)

    return open_stream


@pytest.fixture(scope="module")
def id_of(prepared):
    """Finds the id of an image that was not augmented."""
    images = {
        prepared.read_image(one.id).tobytes(): one.id for one in prepared.photographs
    }
    assert len(images) == len(prepared.photographs)
    return lambda image: images[image.tobytes()]


def batches(stream, first, last):
    return [stream.batch(step) for step in range(first, last)]


def as_bytes(batch):
    return b"".join(part.tobytes() for part in batch)


def test_a_batch_has_the_documented_shapes_and_types(open_stream):
    images, labels, weights = open_stream(augment=AUGMENT).batch(0)
    assert (images.shape, images.dtype) == ((4, 64, 64, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((4,), np.int32)
    assert (weights.shape, weights.dtype) == ((4,), np.float32)


def test_the_parts_of_several_workers_are_the_batch(open_stream, cache_gigabytes):
    stream = open_stream(augment=AUGMENT, cache_gigabytes=cache_gigabytes)
    beside = stream.beside(np.arange(32))
    for one in (stream, beside, open_stream().of_features(np.arange(32))):
        for step in (0, one.steps_per_epoch + 3):
            parts = [one.batch(step, worker, 2) for worker in range(2)]
            for whole, *halves in zip(one.batch(step), *parts, strict=True):
                assert [len(half) for half in halves] == [2, 2]
                np.testing.assert_array_equal(np.concatenate(halves), whole)
    first = [one.numpy() for one in next(iter(stream.dataset(5, 6, 1, 2)))]
    for ours, expected in zip(first, stream.batch(5, 1, 2), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_images_come_with_the_labels_of_their_photographs(prepared, open_stream, id_of):
    grades = {one.id: one.grade for one in prepared.photographs}
    stream = open_stream()
    for images, labels, _ in batches(stream, 0, 2 * stream.steps_per_epoch):
        expected = [grades[id_of(image)] >= 2 for image in images]
        assert labels.tolist() == expected


@pytest.fixture(params=[0.0, 1.0], ids=["read from disk", "kept in memory"])
def cache_gigabytes(request):
    return request.param


EVERY_SAMPLER = pytest.mark.parametrize(
    "sampler",
    [samplers.every_photograph_once, samplers.oversample, samplers.progressive],
)


@EVERY_SAMPLER
def test_a_batch_depends_on_seed_and_step_alone(open_stream, sampler, cache_gigabytes):
    settings = {"sampler": sampler, "augment": AUGMENT}
    settings["cache_gigabytes"] = cache_gigabytes
    stream = open_stream(**settings)
    steps = range(3 * stream.steps_per_epoch)
    in_order = [as_bytes(stream.batch(step)) for step in steps]
    # In another order, with repeats, from objects that have seen nothing else.
    shuffled = np.random.default_rng(5).permutation([*steps, *steps])
    another = open_stream(**settings)
    for step in shuffled:
        assert as_bytes(another.batch(step)) == in_order[step]
    for step in (0, 1, stream.steps_per_epoch, steps[-1]):
        assert as_bytes(open_stream(**settings).batch(step)) == in_order[step]
    assert len(set(in_order)) == len(in_order)


@EVERY_SAMPLER
def test_memory_changes_no_batch(open_stream, sampler):
    settings = {"sampler": sampler, "augment": AUGMENT}
    cached = open_stream(cache_gigabytes=1.0, **settings)
    decoding = open_stream(cache_gigabytes=0.0, **settings)
    assert cached.memory_left < 1.0
    assert decoding.memory_left == 0.0
    for step in range(cached.steps_per_epoch + 2):
        assert as_bytes(cached.batch(step)) == as_bytes(decoding.batch(step))


@EVERY_SAMPLER
def test_a_run_may_go_on_where_there_is_less_memory(open_stream, sampler):
    settings = {"sampler": sampler, "augment": AUGMENT}
    begun = open_stream(cache_gigabytes=1.0, **settings)
    steps = begun.steps_per_epoch + 3
    whole = [as_bytes(one) for one in begun.dataset(0, steps).as_numpy_iterator()]
    for stopped in (1, steps - 4, steps - 1):
        resumed = open_stream(cache_gigabytes=0.0, **settings)
        rest = resumed.dataset(stopped, steps).as_numpy_iterator()
        assert [as_bytes(one) for one in rest] == whole[stopped:]


def test_progressive_sampling_moves_from_equal_to_natural_shares(split, open_stream):
    def sampler(labels, epoch, rng):
        return samplers.progressive(labels, epoch, rng, decay=0.5)

    count = len(split.train)
    stream = open_stream(batch_size=count, sampler=sampler)
    natural = np.bincount(open_stream(batch_size=count).batch(0)[1])
    assert abs(natural[0] - natural[1]) >= 4
    first, *_, last = (np.bincount(stream.batch(step)[1]) for step in range(12))
    assert abs(first[0] - count / 2) < 1
    assert last.tolist() == natural.tolist()


def test_another_seed_gives_other_batches(open_stream):
    first = as_bytes(open_stream(seed=0).batch(0))
    assert as_bytes(open_stream(seed=1).batch(0)) != first


def test_augmenting_leaves_the_cached_photographs_alone(open_stream):
    plain = open_stream()
    augmented = open_stream(augment=AUGMENT)
    assert as_bytes(augmented.batch(0)) != as_bytes(plain.batch(0))
    assert as_bytes(augmented.batch(0)) == as_bytes(augmented.batch(0))


def test_the_same_photograph_is_augmented_anew_in_each_epoch(prepared, open_stream):
    stream = open_stream(batch_size=30, augment=AUGMENT)
    assert stream.steps_per_epoch == 1
    drawn = [image.tobytes() for step in range(4) for image in stream.batch(step)[0]]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7])
def test_the_unbalanced_stream_takes_no_photograph_twice_in_an_epoch(
    split, open_stream, id_of, batch_size
):
    stream = open_stream(batch_size=batch_size)
    assert stream.steps_per_epoch == len(split.train) // batch_size
    orders = []
    for epoch in range(3):
        first = epoch * stream.steps_per_epoch
        taken = [
            id_of(image)
            for images, _, _ in batches(stream, first, first + stream.steps_per_epoch)
            for image in images
        ]
        assert len(set(taken)) == len(taken)
        assert set(taken) <= set(split.train)
        if batch_size == 1:
            assert set(taken) == set(split.train)
        orders.append(taken)
    assert orders[0] != orders[1] != orders[2]


def test_all_photographs_have_their_turn_although_the_rest_of_an_epoch_is_left_out(
    split, open_stream, id_of
):
    stream = open_stream(batch_size=len(split.train) - 1)
    taken = {id_of(image) for step in range(20) for image in stream.batch(step)[0]}
    assert taken == set(split.train)


def test_an_oversampled_epoch_is_twice_the_larger_class(prepared, split, open_stream):
    grades = {one.id: one.grade for one in prepared.photographs}
    referable = sum(grades[one] >= 2 for one in split.train)
    larger = max(referable, len(split.train) - referable)
    stream = open_stream(batch_size=2, sampler=samplers.oversample)
    assert stream.steps_per_epoch == larger
    labels = np.concatenate([part[1] for part in batches(stream, 0, larger)])
    assert np.bincount(labels).tolist() == [larger, larger]


def test_class_weights_are_scikit_learns_and_their_mean_is_1(prepared):
    ids = [one.id for one in prepared.photographs[:8]]
    labels = [0, 0, 0, 0, 0, 0, 1, 1]
    settings = pipeline.TrainingStream(batch_size=8, class_weights=True)
    _, taken, weights = settings.open(prepared, ids, labels, seed=0).batch(0)
    # By hand: 8 / (2 * 6) and 8 / (2 * 2).
    np.testing.assert_allclose(weights, np.where(taken == 0, 2 / 3, 2.0), rtol=1e-6)
    balanced = class_weight.compute_class_weight(
        "balanced", classes=np.array([0, 1]), y=labels
    )
    np.testing.assert_allclose(weights, balanced[taken], rtol=1e-6)
    assert math.isclose(weights.mean(), 1, rel_tol=1e-6)


def test_class_weights_can_be_given_class_by_class(prepared):
    ids = [one.id for one in prepared.photographs[:8]]
    settings = pipeline.TrainingStream(batch_size=8, class_weights=(0.5, 3.0))
    stream = settings.open(prepared, ids, [0, 0, 1, 0, 0, 0, 1, 1], seed=0)
    _, taken, weights = stream.batch(0)
    assert weights.dtype == np.float32
    assert weights.tolist() == [3.0 if label else 0.5 for label in taken]


@pytest.mark.parametrize("weights", [(1.0, 0.0), (1.0, -2.0), (float("inf"), 1.0)])
def test_class_weights_that_are_no_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"class_weights` must be above 0 and finite"):
        pipeline.TrainingStream(class_weights=weights)


def test_there_is_a_weight_for_each_class():
    message = r"True, False or a weight for each of no, yes\. Received: \(1\.0,\)"
    with pytest.raises(ValueError, match=message):
        pipeline.TrainingStream(class_weights=(1.0,)).check_classes(("no", "yes"))
    for given in (True, False, (1.0, 2.0)):
        pipeline.TrainingStream(class_weights=given).check_classes(("no", "yes"))


def test_without_class_weights_each_photograph_weighs_1(open_stream):
    assert open_stream().batch(0)[2].tolist() == [1, 1, 1, 1]


def test_the_dataset_gives_the_batches_in_order_from_any_step(open_stream):
    stream = open_stream(augment=AUGMENT, sampler=samplers.oversample)
    first, last = 5, 2 * stream.steps_per_epoch + 3
    steps = list(stream.dataset(first, last).as_numpy_iterator())
    assert len(steps) == last - first
    for step, batch in enumerate(steps, start=first):
        assert as_bytes(batch) == as_bytes(stream.batch(step))


def test_the_dataset_has_static_shapes(open_stream):
    images, labels, weights = open_stream().dataset(0, 1).element_spec
    assert images.shape == (4, 64, 64, 3)
    assert labels.shape == weights.shape == (4,)


def test_validation_and_test_photographs_never_appear(split, open_stream, id_of):
    stream = open_stream(sampler=samplers.oversample)
    taken = {
        id_of(image)
        for images, _, _ in batches(stream, 0, 5 * stream.steps_per_epoch)
        for image in images
    }
    assert not taken & {*split.valid, *split.test, *split.left_out}
    assert taken == set(split.train)


def test_a_batch_larger_than_an_epoch_is_an_error(split, open_stream):
    count = len(split.train)
    assert open_stream(batch_size=count).steps_per_epoch == 1
    with pytest.raises(
        ValueError,
        match=f"must not exceed .* batch_size={count + 1} with {count} photographs. L",
    ):
        open_stream(batch_size=count + 1)


def test_no_photographs_are_an_error(prepared):
    settings = pipeline.TrainingStream(sampler=samplers.oversample)
    with pytest.raises(ValueError, match="batch_size=32 with 0 photographs"):
        settings.open(prepared, [], [], seed=0)


def test_a_batch_size_below_1_is_an_error():
    with pytest.raises(ValueError, match=r"must be at least 1\. Received: 0"):
        pipeline.TrainingStream(batch_size=0)


def test_half_of_the_available_memory_is_used_by_default(
    split, open_stream, monkeypatch
):
    monkeypatch.setattr(memory, "available_gigabytes", lambda: 2.0)
    photographs = len(split.train) * 64 * 64 * 3 / 1e9
    assert open_stream().memory_left == pytest.approx(1.0 - photographs)
    monkeypatch.setattr(memory, "available_gigabytes", lambda: photographs)
    assert open_stream().memory_left == pytest.approx(photographs / 2)


@pytest.mark.parametrize("gigabytes", [-1, float("nan")])
def test_less_than_no_memory_is_an_error(gigabytes):
    with pytest.raises(
        ValueError, match=r"cache_gigabytes` must be at least 0, or Non"
    ):
        pipeline.TrainingStream(cache_gigabytes=gigabytes)


@pytest.mark.parametrize("name", ["oversample", "progressive"])
def test_balancing_twice_is_an_error(name):
    sampler = getattr(samplers, name)
    for one in (sampler, gin.get_configurable(sampler)):
        with pytest.raises(
            ValueError,
            match=f"twice. Received: class_weights=True with sampler={name}. R",
        ):
            pipeline.TrainingStream(sampler=one, class_weights=True)
        assert pipeline.TrainingStream(sampler=one).sampler is one
        with pytest.raises(ValueError, match=r"class_weights=\(1.0, 2.0\) with samp"):
            pipeline.TrainingStream(sampler=one, class_weights=(1.0, 2.0))
    assert pipeline.TrainingStream(class_weights=True).class_weights


def test_balancing_twice_is_an_error_in_a_config_too():
    gin.parse_config(
        "training_stream.sampler = @some_scope/progressive\n"
        "training_stream.class_weights = True"
    )
    with pytest.raises(ValueError, match="the classes would be balanced twice"):
        gin.get_configurable(pipeline.TrainingStream)()


def test_a_config_decides_how_fast_balancing_decays(prepared):
    gin.parse_config(
        "training_stream.sampler = @progressive\n"
        "training_stream.batch_size = 8\n"
        "progressive.decay = 0.0"
    )
    ids = [one.id for one in prepared.photographs[:8]]
    settings = gin.get_configurable(pipeline.TrainingStream)()
    stream = settings.open(prepared, ids, [0, 0, 0, 0, 0, 0, 1, 1], seed=0)
    counts = [np.bincount(stream.batch(step)[1]).tolist() for step in range(2)]
    assert counts == [[4, 4], [6, 2]]


def test_a_sampler_whose_epochs_differ_in_length_is_an_error(open_stream):
    def shrinking(labels, epoch, rng):
        return np.arange(len(labels) - epoch)

    stream = open_stream(sampler=shrinking)
    with pytest.raises(
        ValueError, match=r"as many photographs in each epoch\. Receive"
    ):
        stream.batch(stream.steps_per_epoch)
