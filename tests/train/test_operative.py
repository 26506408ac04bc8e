import gin

from train import operative

BEFORE = """import train.recipe

# Macros:
# ====
SIZE = 3

# Parameters for Adam:
# ====
Adam.learning_rate = 0.1

# Parameters for evaluate:
# ====
evaluate.operating_point = @sensitivity_at_least()

# Parameters for sensitivity_at_least:
# ====
sensitivity_at_least.value = 0.8

# Parameters for train:
# ====
train.optimizer = @keras.optimizers.Adam
"""

NOW = """import train.recipe
import evaluation.operating_point

# Parameters for evaluate:
# ====
evaluate.operating_point = @youden()

# Parameters for train:
# ====
train.optimizer = @keras.optimizers.Adam
"""


def test_what_an_earlier_start_used_is_kept_and_what_is_asked_no_more_is_not():
    text = operative.merge(BEFORE, NOW)
    assert "Adam.learning_rate = 0.1" in text
    assert "evaluate.operating_point = @youden()" in text
    assert "sensitivity_at_least" not in text
    assert text.startswith("import train.recipe\nimport evaluation.operating_point\n")


def test_the_same_again_changes_nothing():
    once = operative.merge("", BEFORE)
    assert "SIZE = 3" in once
    assert operative.merge(once, once) == once


def test_gins_own_text_is_understood():
    @gin.register
    def used_by_a_test(size=3, name="it"):
        return size

    gin.bind_parameter("used_by_a_test.size", 4)
    gin.get_configurable("used_by_a_test")()
    text = operative.merge("", gin.operative_config_str())
    assert "used_by_a_test.size = 4" in text
    assert "used_by_a_test.name = 'it'" in text
    assert operative.merge(text, text) == text
