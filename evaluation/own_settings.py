"""Settings of ours as results spell them, made into objects again."""

import ast
from typing import Any

from evaluation import operating_point, recalibration

_OURS = {
    one.__name__: one
    for one in (
        operating_point.Fixed,
        operating_point.Youden,
        operating_point.SensitivityAtLeast,
        operating_point.SpecificityAtLeast,
        operating_point.SensitivityAssured,
        recalibration.Recalibration,
    )
}


def read(text: str) -> Any:
    """The object of ours whose `repr` a text is.

    Args:
        text: As in "SensitivityAtLeast(value=0.9)".

    Returns:
        A rule or a recalibration; None if it is, or holds, something of somebody else.

    Raises:
        ValueError: It is one of ours with impossible settings.
    """
    try:
        return _make(ast.parse(text, mode="eval").body)
    except (LookupError, SyntaxError):
        return None


def _make(node: ast.expr) -> Any:
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    if not isinstance(node.func, ast.Name):
        raise LookupError
    values = {one.arg: _make(one.value) for one in node.keywords}
    return _OURS[node.func.id](**values)
