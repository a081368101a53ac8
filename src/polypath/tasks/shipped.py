"""Models that ship with polypath, by name."""

from pathlib import Path

_ASSETS = Path(__file__).parent.parent / "assets"
SHIPPED_MODELS: dict[str, Path] = {
    "countdown-base": _ASSETS / "countdown_base",
    "small-sql-base": _ASSETS / "small_sql" / "base",
    "word-problems-base": _ASSETS / "word_problems_base",
}


def base_model_dir() -> Path:
    """Return the folder of the Countdown base; transformers' Auto classes load it offline."""
    return SHIPPED_MODELS["countdown-base"]


def shipped_model(name: str) -> str:
    """Return the folder of a model that ships with polypath, or the name itself."""
    return str(SHIPPED_MODELS.get(name, name))
