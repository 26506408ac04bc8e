"""Everything that a gin file can name: our own functions and what libraries bring."""

import importlib
import inspect

import gin
import keras
import tensorflow as tf

_OURS = (
    "evaluation.compare",
    "evaluation.evaluate",
    "evaluation.operating_point",
    "evaluation.predict",
    "input_pipeline.audit",
    "input_pipeline.augment",
    "input_pipeline.datasets.aptos2019",
    "input_pipeline.datasets.class_folders",
    "input_pipeline.datasets.csv_file",
    "input_pipeline.datasets.ddr",
    "input_pipeline.datasets.deepdrid",
    "input_pipeline.datasets.eyepacs",
    "input_pipeline.datasets.idrid",
    "input_pipeline.datasets.idrid_masks",
    "input_pipeline.datasets.messidor2",
    "input_pipeline.doctor",
    "input_pipeline.pipeline",
    "input_pipeline.prepare",
    "input_pipeline.samplers",
    "input_pipeline.splits",
    "input_pipeline.tasks",
    "models.efficientnet_lite",
    "models.hub_resnet",
    "models.losses",
    "models.outputs",
    "models.pretrained",
    "models.resnet_v2",
    "serving.export",
    "serving.folder",
    "serving.formats",
    "train.distillation",
    "train.ensemble",
    "train.phases",
    "train.recipe",
    "train.schedules",
    "train.tuning",
    "visualization.explain",
    "visualization.grad_cam",
    "visualization.guided_backprop",
    "visualization.integrated_gradients",
    "visualization.layer_cam",
    "visualization.occlusion",
)
"""Modules that register something when they are imported."""

_KERAS = {
    "keras.optimizers": (
        keras.optimizers.Adam,
        keras.optimizers.Adamax,
        keras.optimizers.AdamW,
        keras.optimizers.Lamb,
        keras.optimizers.Lion,
        keras.optimizers.Nadam,
        keras.optimizers.RMSprop,
        keras.optimizers.SGD,
    ),
    "keras.losses": (
        keras.losses.Huber,
        keras.losses.MeanSquaredError,
        keras.losses.SparseCategoricalCrossentropy,
    ),
    "keras.callbacks": (
        keras.callbacks.EarlyStopping,
        keras.callbacks.ReduceLROnPlateau,
    ),
}

_BACKBONE_SETTINGS = {"alpha", "depth_multiplier", "minimalistic"}
"""What a gin file says about a backbone of Keras; `pretrained` says the rest."""

for name in _OURS:
    importlib.import_module(name)
for module, classes in _KERAS.items():
    for one in classes:
        gin.register(module=module)(one)
for one in filter(inspect.isfunction, vars(keras.applications).values()):
    parameters = inspect.signature(one).parameters.keys()
    gin.register(
        module="keras.applications", denylist=sorted(parameters - _BACKBONE_SETTINGS)
    )(one)
gin.register(module="tf.distribute")(tf.distribute.MirroredStrategy)
gin.register(
    "MultiWorkerMirroredStrategy",  # TensorFlow's class is called something else.
    module="tf.distribute",
    denylist=["cluster_resolver", "communication_options"],
)(tf.distribute.MultiWorkerMirroredStrategy)
