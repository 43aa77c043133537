"""Tiny copies of the data sets of the Hugging Face hub, in their real layouts."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

OPTIONS = (
    "ag_news",
    "imdb",
    "imdb_movies",
    "french_book_reviews",
    "playmydata",
    "fairface",
    "spotify_tracks",
    "huggingface",
    "text_csv",
)

SETTINGS = {
    "huggingface": ["dataset.path=mine/texts", "dataset.text=[body]", "dataset.target=kind"],
    "text_csv": ["dataset.path=texts.csv"],
}
"""What options without a default have to be told, for the files that are crafted here."""

TOPICS = ("world war leader", "match club goal", "market stock price", "chip web phone")
CLUBS = ("Juventus", "Chelsea", "Lakers")
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
RACES = (
    "East Asian",
    "Indian",
    "Black",
    "White",
    "Middle Eastern",
    "Latino_Hispanic",
    "Southeast Asian",
)
MEASURED = (
    "danceability",
    "energy",
    "loudness",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
)


def craft(folder: Path, option: str) -> None:
    """Write what ``conf/dataset/<option>.yaml`` reads, below ``folder``, the root of data."""
    {
        "ag_news": _ag_news,
        "imdb": _imdb,
        "imdb_movies": _imdb_movies,
        "french_book_reviews": _french_book_reviews,
        "playmydata": _playmydata,
        "fairface": _fairface,
        "spotify_tracks": _spotify_tracks,
        "huggingface": _huggingface,
        "text_csv": _text_csv,
    }[option](folder)


def _ag_news(folder):
    """JSON lines with labels from 1 to 4, as at the pinned commit."""
    place = _place(folder, "sh0416/ag_news")
    for part, count in (("train", 80), ("test", 40)):
        rows = [
            {
                "label": i % 4 + 1,
                "title": f"News {i} from {CLUBS[i // 4 % 3]}" if i % 3 == 0 else f"News {i}",
                "description": f"{TOPICS[i % 4]} item {i * 7 % 13}.",
            }
            for i in range(count)
        ]
        pd.DataFrame(rows).to_json(place / f"{part}.jsonl", orient="records", lines=True)


def _imdb(folder):
    """Parquet with a class label, and 'unsupervised' reviews labelled -1."""
    place = _place(folder, "stanfordnlp/imdb/plain_text")
    for part in ("train", "test", "unsupervised"):
        labels = [-1] * 20 if part == "unsupervised" else [i // 20 for i in range(40)]
        texts = [f"{('bad', 'good')[abs(label)]} film {i}" for i, label in enumerate(labels)]
        _parquet(
            {"text": texts, "label": labels},
            place / f"{part}-00000-of-00001.parquet",
            label=("neg", "pos"),
        )


def _imdb_movies(folder):
    place = _place(folder, "fgiobergia/imdb-id/data")
    for part in ("train", "test"):
        rows = {
            "text": [f"{('bad', 'good')[i % 2]} film about number {i % 8}" for i in range(40)],
            "label": [i % 2 for i in range(40)],
            "movie_id": [f"tt{100 + i % 10}" for i in range(40)],
        }
        _parquet(rows, place / f"{part}-00000-of-00001.parquet")


def _french_book_reviews(folder):
    """One JSON file with the label -1, 0 or 1, and some reviews missing."""
    place = _place(folder, "Abirate/french_book_reviews")
    rows = [
        {
            "book_title": f"Livre {i % 12}",
            "author": f"Auteur {i % 6}",
            "reader_review": None if i % 30 == 29 else f"{('nul', 'moyen', 'génial')[i % 3]} {i}",
            "rating": float(i % 3 * 2),
            "label": i % 3 - 1,
        }
        for i in range(60)
    ]
    pd.DataFrame(rows).to_json(place / "french_book_reviews.json", orient="records", lines=True)


def _playmydata(folder):
    """Four CSV files that share games, and two with names of ids in another layout."""
    place = _place(folder, "claudioDsi94/PlayMyData")
    makers = {"Nintendo": 4, "PC": 6, "PlayStation": 48, "Xbox": 49}
    for shift, (maker, platform) in enumerate(makers.items()):
        numbers = range(shift * 15, shift * 15 + 20)
        rows = {
            "genres": [f"[{(5, 12, 31)[i % 3]}, 33]" for i in numbers],
            "id": list(numbers),
            "name": [f"Game {i}" for i in numbers],
            "platforms": [f"[{platform}, 130]" if i % 2 else f"[{platform}]" for i in numbers],
            "summary": [
                "Missing" if i % 20 == 19 else f"{('shoot', 'cast', 'explore')[i % 3]} {i}"
                for i in numbers
            ],
            "rating": ["Missing"] * 20,
        }
        pd.DataFrame(rows).to_csv(place / f"all_games_{maker}.csv", index=False)
    pd.DataFrame({"id": [5, 33], "name": ["Shooter", "Arcade"]}).to_csv(place / "genres.csv")


def _fairface(folder):
    """JPEG files inside Parquet, in named configurations that the card lists."""
    place = _place(folder, "HuggingFaceM4/FairFace")
    card = ["---", "configs:"]
    for config in ("0.25", "1.25"):
        card += [f"- config_name: '{config}'", "  data_files:"]
        for part in ("train", "validation"):
            card += [f"  - split: {part}", f"    path: {config}/{part}-*"]
    (place / "README.md").write_text("\n".join([*card, "---", ""]))
    (place / "0.25").mkdir()
    for part, count in (("train", 126), ("validation", 18)):
        rows = {
            "image": [{"bytes": _jpeg(i), "path": f"{part}/{i}.jpg"} for i in range(count)],
            "age": [i % 9 for i in range(count)],
            "gender": [i % 2 for i in range(count)],
            "race": [i % 7 for i in range(count)],
            "service_test": [i % 2 == 0 for i in range(count)],
        }
        _parquet(
            rows,
            place / "0.25" / f"{part}-00000-of-00001.parquet",
            age=AGES,
            gender=("Male", "Female"),
            race=RACES,
        )


def _spotify_tracks(folder):
    """One CSV file with an unnamed first column, as many songs in each genre, one row broken."""
    place = _place(folder, "maharshipandya/spotify-tracks-dataset")
    i = np.arange(144)
    columns = {
        "track_id": [f"id{n}" for n in i],
        "artists": [f"Singer {n % 5};Band {n % 3}" if n % 2 else f"Singer {n % 5}" for n in i],
        "track_name": [f"Song {n}" for n in i],
        "popularity": i % 100,
        "duration_ms": 200_000 + i * 100,
        "explicit": i % 4 == 0,
        "key": i % 12,
        "mode": i % 2,
        "time_signature": 3 + i % 3,
    }
    for shift, name in enumerate(MEASURED):
        columns[name] = (i * (shift + 3) % 17) / 17
    columns["track_genre"] = [f"genre {chr(97 + n % 12)}" for n in i]
    frame = pd.DataFrame(columns)
    frame.loc[143, "tempo"] = np.nan
    frame.to_csv(place / "dataset.csv")


def _huggingface(folder):
    place = _place(folder, "mine/texts")
    rows = [{"body": f"{TOPICS[i % 4]} {i}", "kind": f"topic {i % 4}"} for i in range(60)]
    for part, some in (("train", rows[:40]), ("validation", rows[40:50]), ("test", rows[50:])):
        pd.DataFrame(some).to_csv(place / f"{part}.csv", index=False)


def _text_csv(folder):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"text": f"{TOPICS[i % 4]} {i}", "label": f"topic {i % 4}"} for i in range(60)]
    pd.DataFrame(rows).to_csv(folder / "texts.csv", index=False)


def _place(folder, name):
    place = folder / "hf" / name
    place.mkdir(parents=True, exist_ok=True)
    return place


def _jpeg(number):
    colour = (number * 3 % 256, number * 5 % 256, number * 7 % 256)
    buffer = BytesIO()
    Image.new("RGB", (72, 72), colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _parquet(rows, path, **classes):
    from datasets import ClassLabel, Dataset
    from datasets import Image as Picture

    result = Dataset.from_dict(rows)
    for name, names in classes.items():
        result = result.cast_column(name, ClassLabel(names=list(names)))
    if "image" in rows:
        result = result.cast_column("image", Picture())
    result.to_parquet(path)
