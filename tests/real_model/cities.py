"""A task that SmolLM2 can do as it is, and that has several right answers: name a city of a country."""

import re

from polypath import task_from

CITIES = {
    "France": "Paris Lyon Marseille Nice Toulouse Bordeaux Lille Nantes Strasbourg",
    "Italy": "Rome Milan Naples Venice Florence Turin Bologna Genoa Palermo",
    "Germany": "Berlin Munich Hamburg Cologne Frankfurt Stuttgart Dresden Leipzig",
    "Japan": "Tokyo Kyoto Osaka Nagoya Sapporo Hiroshima Kobe Yokohama",
    "Spain": "Madrid Barcelona Valencia Seville Granada Bilbao Malaga",
    "Egypt": "Cairo Alexandria Giza Luxor Aswan",
    "Russia": "Moscow Petersburg Kazan Novosibirsk Sochi",
    "Canada": "Toronto Montreal Vancouver Ottawa Calgary Quebec",
}
ROWS = [
    {"question": f"Name one city in {country}. Answer with its name only.", "answer": cities}
    for country, cities in CITIES.items()
]


def first_city(text, answer):
    """Return the city of the list that the text names first, None without one."""
    found = re.search(r"\b(" + "|".join(answer.split()) + r")\b", text)
    return found and found[0]


def reward(completions, answer, **_):
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [float(bool(first_city(t, a))) for t, a in zip(texts, answer, strict=True)]


def solution(text, row):
    return first_city(text, row["answer"])


def cities():
    def chat(row):
        return [{"role": "user", "content": row["question"]}]

    both = {"train": ROWS, "test": ROWS}
    return task_from(both, reward, solution, prompt=chat, max_completion_length=32)
