"""What erasure and the analysis share: light, and the same on both sides."""

import ast
import math
import sys
from pathlib import Path

import pytest

from erasure import schema
from erasure.results.mlflow.tracker import MLflowTracker

HEAVY = {"torch", "numpy", "pandas", "hydra", "omegaconf", "mlflow"}


def test_the_schema_needs_the_standard_library_alone(python):
    nodes = ast.walk(ast.parse(Path(schema.__file__).read_text()))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    nodes = ast.walk(ast.parse(Path(schema.__file__).read_text()))
    names |= {n.module.partition(".")[0] for n in nodes if isinstance(n, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names)
    code = f"import sys, erasure.schema; print(sorted({HEAVY} & set(sys.modules)))"
    assert python("-c", code).stdout == "[]\n"


def test_a_method_has_one_color_everywhere():
    assert schema.color_of("scrub") == schema.METHOD_COLORS["scrub"]
    assert schema.color_of("my_method") == schema.color_of("my_method")
    assert schema.color_of("my_method") in schema.OTHER_COLORS
    assert schema.color_of("ssd") == schema.OTHER_COLORS[schema.color_index("ssd")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.0005, "0.001"),
        (-0.9344, "-0.934"),
        (999.9994, "999.999"),
        (0.00049, "0.00049"),
        (-12345.0, "-1.23e+04"),
        (math.inf, "inf"),
        (math.nan, "–"),
    ],
)
def test_numbers_read_well(value, text):
    assert schema.format_number(value) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sqlite:///mlruns/mlflow.db", "sqlite:///mlruns/mlflow.db"),
        ("http://host:5000/a", "http://host:5000/a"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("redis://:secret@host", "redis://:***@host"),
        ("http://me:p@ss@host:1/x", "http://me:***@host:1/x"),
        ("run.py a=http://u:p@h b=http://v:q@g/z", "run.py a=http://u:***@h b=http://v:***@g/z"),
    ],
)
def test_passwords_are_masked(text, shown):
    assert schema.without_password(text) == shown


def test_the_tracker_writes_where_the_analysis_looks():
    assert MLflowTracker.__dataclass_fields__["uri"].default == schema.DEFAULT_URI
