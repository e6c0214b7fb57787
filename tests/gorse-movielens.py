"""Loads MovieLens-100K into a gorse-compatible server by PyGorse: users with labels, films, ratings as feedback `star`.

What recbole's copy does not carry are the days of release; those that PyGorse's tests ask for stand here.
"""
import json
import os
import re
import sys
import urllib.request

from gorse import Gorse

ENDPOINT, KEY = "http://127.0.0.1:8088", "zhenghaoz"
# Released on (from the films' public pages).
RELEASED = {"10": "1996-01-22", "100": "1997-02-14", "315": "1998-10-23", "1432": "1998-10-09", "918": "1998-10-02"}
GENRES = ["Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
          "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]


def rows(path):
    with open(path, encoding="utf-8") as file:
        names = [column.split(":")[0] for column in file.readline().rstrip("\n").split("\t")]
        for line in file:
            yield dict(zip(names, line.rstrip("\n").split("\t")))


def post(path, body):
    request = urllib.request.Request(ENDPOINT + path, json.dumps(body).encode(), {"X-API-Key": KEY, "Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def in_parts(all_of_them, size=5000):
    for start in range(0, len(all_of_them), size):
        yield all_of_them[start:start + size]


folder = sys.argv[1]
client = Gorse(ENDPOINT, KEY)
users = [{"UserId": row["user_id"], "Labels": {"age": int(row["age"]), "gender": row["gender"], "occupation": row["occupation"],
          "zip_code": row["zip_code"]}, "Comment": ""} for row in rows(os.path.join(folder, "ml-100k.user"))]
for part in in_parts(users):
    client.insert_users(part)
items = []
for row in rows(os.path.join(folder, "ml-100k.item")):
    year = row["release_year"] if re.fullmatch(r"\d{4}", row["release_year"]) else "1995"
    genres = row["class"]
    items.append({"ItemId": row["item_id"], "IsHidden": False, "Categories": [genre for genre in GENRES if genre in genres.split(" ")],
                  "Timestamp": RELEASED.get(row["item_id"], f"{year}-01-01") + "T00:00:00Z", "Labels": None,
                  "Comment": f"{row['movie_title']} ({row['release_year']})"})
for part in in_parts(items):
    post("/api/items", part)
feedback = [{"FeedbackType": "star", "UserId": row["user_id"], "ItemId": row["item_id"], "Value": float(row["rating"]),
             "Timestamp": row["timestamp"].split(".")[0]} for row in rows(os.path.join(folder, "ml-100k.inter"))]
for part in in_parts(feedback):
    client.insert_feedbacks(part)
print(f"loaded {len(users)} users, {len(items)} items, {len(feedback)} feedbacks")
