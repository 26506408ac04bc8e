"""Everything that a gin file can name: imports what registers itself, and registers
what other libraries bring.
"""

import gin
import keras
import tensorflow as tf

# Imported for what they register.
import train.recipe  # noqa: F401

_KERAS = {
    "keras.optimizers": (
        keras.optimizers.Adam,
        keras.optimizers.AdamW,
        keras.optimizers.SGD,
    ),
    "keras.optimizers.schedules": (
        keras.optimizers.schedules.CosineDecay,
        keras.optimizers.schedules.PiecewiseConstantDecay,
    ),
    "keras.losses": (keras.losses.SparseCategoricalCrossentropy,),
    "keras.callbacks": (
        keras.callbacks.EarlyStopping,
        keras.callbacks.ReduceLROnPlateau,
    ),
}

for module, classes in _KERAS.items():
    for one in classes:
        gin.register(module=module)(one)
gin.register(module="tf.distribute")(tf.distribute.MirroredStrategy)
