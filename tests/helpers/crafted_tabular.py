"""Small files in the formats of UCI, OpenML, CSV, Parquet, npz and safetensors."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

BUNDLED = ("breast_cancer", "wine", "iris", "diabetes")
MADE = ("synthetic", "synthetic_multilabel")
ADULT = {
    "age": "Integer",
    "workclass": "Categorical",
    "fnlwgt": "Integer",
    "education": "Categorical",
    "education-num": "Integer",
    "marital-status": "Categorical",
    "occupation": "Categorical",
    "relationship": "Categorical",
    "race": "Categorical",
    "sex": "Binary",
    "capital-gain": "Integer",
    "capital-loss": "Integer",
    "hours-per-week": "Integer",
    "native-country": "Categorical",
}


CRAFTED = ("adult", "iris_uci", "uci", "openml", "tabular_csv", "tensor_file")


def craft(folder: Path, option: str) -> None:
    """Write below ``folder`` what ``conf/dataset/<option>.yaml`` reads; bundled data need none."""
    makers = (adult, iris, cars, credit, table, tensors)
    if option in CRAFTED:
        folder.mkdir(parents=True, exist_ok=True)
        makers[CRAFTED.index(option)](folder)
    elif option not in (*BUNDLED, *MADE):
        raise ValueError(f"{option} is not a data set of tables")


def overrides(folder: Path, option: str) -> list[str]:
    """Return what has to be set besides for ``option`` to read what was crafted."""
    if option == "tabular_csv":
        return [f"dataset.path={folder}/table.csv", "dataset.target=label"]
    return [f"dataset.path={folder}/tensors.npz"] if option == "tensor_file" else []


def adult(folder, rows=240):
    """Write Adult as UCI sends it: two spellings of each label, ``?`` and empty cells."""
    rng = np.random.default_rng(0)
    age, hours = rng.integers(17, 90, rows), rng.integers(1, 99, rows)
    columns = {name: rng.integers(0, 9, rows).tolist() for name in ADULT}
    for name, kind in ADULT.items():
        if kind != "Integer":
            columns[name] = [f"{name} {value}" for value in columns[name]]
    columns["age"], columns["hours-per-week"] = age.tolist(), hours.tolist()
    columns["sex"] = rng.choice(["Female", "Male"], rows).tolist()
    for name in ("workclass", "occupation", "native-country"):
        columns[name][::20] = ["?"] * len(columns[name][::20])
        columns[name][7::40] = [""] * len(columns[name][7::40])
    dots = ["." if row >= rows * 2 // 3 else "" for row in range(rows)]
    rich = (age / 90 + hours / 99 + 0.2 * rng.standard_normal(rows)) > 1.0
    columns["income"] = [f"{'>' if r else '<='}50K{d}" for r, d in zip(rich, dots, strict=True)]
    roles = {name: ("Feature", kind) for name, kind in ADULT.items()}
    uci(folder, 2, "Adult", columns, roles | {"income": ("Target", "Binary")})


def iris(folder):
    """Write Iris as UCI sends it; scikit-learn bundles the same flowers."""
    from sklearn.datasets import load_iris

    result = load_iris()
    names = ("sepal length", "sepal width", "petal length", "petal width")
    columns = {name: result.data[:, i].tolist() for i, name in enumerate(names)}
    columns["class"] = [f"Iris-{result.target_names[label]}" for label in result.target]
    roles = dict.fromkeys(names, ("Feature", "Continuous"))
    uci(folder, 53, "Iris", columns, roles | {"class": ("Target", "Categorical")})


def cars(folder, rows=160):
    """Write Car Evaluation as UCI sends it: numbers among its categories are text."""
    rng = np.random.default_rng(1)
    values = {
        "buying": ["vhigh", "high", "med", "low"],
        "maint": ["vhigh", "high", "med", "low"],
        "doors": ["2", "3", "4", "5more"],
        "persons": ["2", "4", "more"],
        "lug_boot": ["small", "med", "big"],
        "safety": ["low", "med", "high"],
    }
    columns = {name: rng.choice(choice, rows).tolist() for name, choice in values.items()}
    columns["class"] = rng.choice(["unacc", "acc", "good", "vgood"], rows).tolist()
    roles = dict.fromkeys(values, ("Feature", "Categorical"))
    uci(folder, 19, "Car Evaluation", columns, roles | {"class": ("Target", "Categorical")})


def uci_answer(number, name, roles, data_url=""):
    """Return the answer of the repository to a question about one data set."""
    variables = [
        {
            "name": variable,
            "role": role,
            "type": kind,
            "demographic": None,
            "description": None,
            "units": None,
            "missing_values": "no",
        }
        for variable, (role, kind) in roles.items()
    ]
    data = {
        "uci_id": number,
        "name": name,
        "data_url": data_url,
        "variables": variables,
        "additional_info": {"summary": "made"},
        "intro_paper": None,
    }
    return {"status": 200, "statusText": "OK", "data": data}


def csv_text(columns):
    """Return columns as the text of a CSV file."""
    lines = [",".join(columns)]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def uci(folder, number, name, columns, roles):
    """Place by hand what the repository would send."""
    place = folder / "uci"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{number}.csv").write_text(csv_text(columns))
    (place / f"{number}.json").write_text(json.dumps(uci_answer(number, name, roles)))


def credit(folder, rows=120):
    """Write credit-g version 1 as scikit-learn keeps what OpenML sends."""
    for path, content in openml_answers(rows).items():
        file = folder / "openml" / "openml.org" / f"{path}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(content, mtime=0))


def openml_answers(rows=120, host="https://www.openml.org"):
    """Return what OpenML answers, by the path that is asked for."""
    rng = np.random.default_rng(2)
    kinds = {
        "checking_status": ["'<0'", "'0<=X<200'", "'no checking'"],
        "duration": None,
        "credit_amount": None,
        "housing": ["own", "rent", "'for free'"],
        "class": ["good", "bad"],
    }
    lines = ["@RELATION credit-g", ""]
    for name, values in kinds.items():
        lines.append(f"@ATTRIBUTE {name} {'{' + ','.join(values) + '}' if values else 'REAL'}")
    lines += ["", "@DATA"]
    for _ in range(rows):
        row = [rng.choice(v) if v else str(rng.integers(4, 73)) for v in kinds.values()]
        lines.append(",".join(row))
    arff = "\n".join(lines).encode() + b"\n"
    features = [
        {
            "index": str(index),
            "name": name,
            "data_type": "nominal" if values else "numeric",
            "is_target": "true" if name == "class" else "false",
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
            **({"nominal_value": [value.strip("'") for value in values]} if values else {}),
        }
        for index, (name, values) in enumerate(kinds.items())
    ]
    result = {"did": 31, "name": "credit-g", "version": 1, "status": "active", "format": "ARFF"}
    description = {
        "id": "31",
        "name": "credit-g",
        "version": "1",
        "description": "made",
        "format": "ARFF",
        "status": "active",
        "url": f"{host}/data/v1/download/31/credit-g.arff",
        "file_id": "31",
        "default_target_attribute": "class",
        "md5_checksum": hashlib.md5(arff, usedforsecurity=False).hexdigest(),
    }
    api = "api/v1/json/data"
    quality = [{"name": "NumberOfInstances", "value": str(float(rows))}]
    answers = {
        f"{api}/list/data_name/credit-g/limit/2/data_version/1": {"data": {"dataset": [result]}},
        f"{api}/31": {"data_set_description": description},
        f"{api}/features/31": {"data_features": {"feature": features}},
        f"{api}/qualities/31": {"data_qualities": {"quality": quality}},
    }
    plain = {path: json.dumps(answer).encode() for path, answer in answers.items()}
    return plain | {"data/v1/download/31/credit-g.arff": arff}


def rows_of_people(rows=120):
    """Return a table of people with numbers, text, a truth value and an official part."""
    rng = np.random.default_rng(3)
    age = rng.integers(18, 80, rows)
    return {
        "age": age.tolist(),
        "height": rng.normal(1.7, 0.1, rows).round(3).tolist(),
        "city": rng.choice(["Bari", "Graz", "Lyon"], rows).tolist(),
        "member": rng.choice([True, False], rows).tolist(),
        "person": rng.integers(100, 130, rows).tolist(),
        "part": rng.choice(["train", "test"], rows, p=[0.75, 0.25]).tolist(),
        "label": np.where(age + rng.normal(0, 10, rows) > 45, "old", "young").tolist(),
    }


def table(folder):
    """Write a CSV file and a Parquet file of the same people."""
    import pandas as pd

    frame = pd.DataFrame(rows_of_people())
    frame.to_csv(folder / "table.csv", index=False)
    frame.to_parquet(folder / "table.parquet")


def arrays(rows=120):
    """Return small pictures with labels and attributes."""
    rng = np.random.default_rng(4)
    targets = rng.integers(0, 3, rows)
    inputs = rng.integers(0, 90, (rows, 1, 6, 6)) + 80 * targets[:, None, None, None] // 1
    return {
        "inputs": inputs.astype(np.uint8),
        "targets": targets,
        "writer": rng.integers(5, 15, rows),
        "weight": rng.random(rows).astype(np.float32),
        "tags": rng.random((rows, 4)) < 0.3,
    }


def tensors(folder):
    """Write an npz file, and a safetensors file of the same samples."""
    import torch
    from safetensors.torch import save_file

    held = arrays()
    names = ["zero", "one", "two"]
    np.savez(folder / "tensors.npz", **held, class_names=np.array(names))
    save_file(
        {name: torch.from_numpy(value) for name, value in held.items()},
        folder / "tensors.safetensors",
        metadata={"class_names": json.dumps(names)},
    )
