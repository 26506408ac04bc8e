"""A callback by which tests have one process of several do what the others do not."""

import os
import resource
import signal

import gin
import keras


@gin.register("Mortal")
class Mortal(keras.callbacks.Callback):
    """Acts in the epochs that the environment names."""

    def on_epoch_begin(self, epoch, logs=None):
        if os.environ.get("DIES_IN_EPOCH") == str(epoch + 1):
            os.kill(os.getpid(), signal.SIGKILL)
        # Not in the first: AutoGraph writes a file for each function that it traces.
        if os.environ.get("WRITES_NO_BYTE_FROM_EPOCH") == str(epoch + 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    def on_epoch_end(self, epoch, logs=None):
        if os.environ.get("WANTS_TO_STOP_IN_EPOCH") == str(epoch + 1):
            self.model.stop_training = True
