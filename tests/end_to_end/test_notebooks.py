"""The notebooks in ``examples`` run from their first cell to their last."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))

RUN = """
import json, os, sys
from pathlib import Path
os.chdir(Path(sys.argv[0]).parent)
cells = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["cells"]
names = {"__name__": "__main__"}
for number, cell in enumerate(cells):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
print("all cells ran")
"""


def test_there_are_notebooks_and_nothing_is_stored_in_them():
    assert {path.stem for path in NOTEBOOKS} == {"first_steps", "own_model_and_data"}
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path, python):
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    finished = python(tmp_path / "run.py", path)
    assert "all cells ran" in finished.stdout, finished.stderr
    written = {each.name for each in tmp_path.iterdir()}
    assert written <= {"run.py", "store", "data"}
