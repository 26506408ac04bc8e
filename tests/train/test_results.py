from evaluation import evaluate, operating_point, recalibration
from input_pipeline.datasets import csv_file
from train import results


def test_an_evaluation_is_named_after_its_settings():
    assert results.name_of(evaluate.Evaluator()) == "valid-test"
    named = evaluate.Evaluator(splits=("test",), resamples=500)
    assert results.name_of(named) == "test-resamples-500"


def test_a_long_name_is_cut_and_still_tells_settings_apart():
    def name(photographs):
        sampling = recalibration.Recalibration(
            photographs=photographs,
            rule=operating_point.SensitivityAssured(value=0.5, confidence=0.7),
        )
        on = [csv_file.csv_file(name="site")]
        return results.name_of(evaluate.Evaluator(on=on, recalibrate=sampling))

    assert name(6) == name(6) != name(7)
    for one in (name(6), name(7)):
        assert one.startswith("valid-test-on-site-recalibrate-Recalibration-")
        assert len(one) <= 80
