"""The scalar that explains a class, from its definition, for the tape."""

import tensorflow as tf

from models import outputs

# (output for its classes, logits, classes)
OUTPUTS = {
    "softmax of two": (outputs.Softmax(), 2, 2),
    "softmax of five": (outputs.Softmax(), 5, 5),
    "ordinal": (outputs.Ordinal(), 4, 5),
    "ordinal of two": (outputs.Ordinal(), 1, 2),
    "regression": (outputs.Regression(5), 1, 5),
}


def score(output, logits, classes):
    """float64 `(batch,)`: a logit of many, log-odds of two or of an order, a value."""
    logits, classes = tf.cast(logits, tf.float64), tf.constant(classes, tf.int32)
    if isinstance(output, outputs.Regression):
        return tf.where(classes == 0, -logits[:, 0], logits[:, 0])
    if isinstance(output, outputs.Ordinal):
        goes_on, number = tf.sigmoid(logits), tf.maximum(classes, 1)
        reached = tf.gather(tf.math.cumprod(goes_on, 1), number - 1, batch_dims=1)
        odds = tf.math.log(reached / (1 - reached))
        return tf.where(classes == 0, -odds, odds)
    if logits.shape[1] > 2:
        return tf.gather(logits, classes, batch_dims=1)
    logs = tf.nn.log_softmax(logits)
    own, other = (tf.gather(logs, one, batch_dims=1) for one in (classes, 1 - classes))
    return own - other
