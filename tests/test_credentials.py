"""Keys, tokens and passwords are known by name, by form and by value, and cut out of every text."""

import re
from pathlib import Path

import pytest

import polypath
from polypath.credentials import (
    environment_without_keys,
    hidden,
    is_secret,
    one_line,
    redact,
    remember,
)
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.sampling.http import ServerError

KEY = "SeCr3tV4lue99"
SECRET = [
    *("hub_token", "token", "api_key", "apikey", "apiKey", "X-API-KEY", "secret", "client_secret"),
    *("password", "passwd", "db_password", "Authorization", "proxy-authorization", "HF_TOKEN"),
    *(
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "WANDB_API_KEY",
        "wandb_key",
    ),
    *("--hub-token", "access_token", "refreshToken", "use_auth_token", "private_key", "passphrase"),
    *("credentials", "PGPASSWORD"),
]
OPEN = [
    *(
        "eos_token",
        "pad_token",
        "max_tokens",
        "n_tokens",
        "num_tokens",
        "pad_token_id",
        "api_key_env",
    ),
    *(
        "problems_key",
        "prompt_key",
        "importance_sampling_level",
        "tokens",
        "token_ids",
        "tokenizer",
    ),
    *(
        "include_num_input_tokens_seen",
        "hub_model_id",
        "passed",
        "pass",
        "author",
        "key",
        "ref_logps",
    ),
]


def test_secret_names() -> None:
    assert [name for name in SECRET if not is_secret(name)] == []
    assert [name for name in OPEN if is_secret(name)] == []


@pytest.mark.parametrize(
    "text",
    [
        f"hub_token={KEY}, got None",
        f"{{'hub_token': '{KEY}'}}",
        f'{{"api_key": "{KEY}", "x": 1}}',
        f"hub_token='it\\'s {KEY}'",
        f"password='{KEY} in several words'",
        f"--hub_token {KEY}",
        f"--hub-token={KEY}",
        f"['--hub_token', '{KEY}']",
        f"Authorization: Bearer {KEY}",
        f"Invalid header value b'Bearer {KEY}\\n'",
        f"http://me:{KEY}@host/v1",
        f"http://me:with/{KEY}@host/v1",
        f"me:{KEY}@host/v1",
        f"https://host/?token={KEY}&x=1",
        f"unauthorized: hf_{KEY}",
        f"incorrect key sk-proj-{KEY}",
    ],
)
def test_a_key_is_cut_out_of_any_text(text: str) -> None:
    assert KEY not in redact(text)
    assert redact(redact(text)) == redact(text)
    for error in (ConfigError(text), DataError(text), MissingFileError(text), ServerError(text)):
        assert KEY not in f"{error} {error!r} {error.args}"


@pytest.mark.parametrize(
    "text",
    [
        "completion_tokens=5, temperature=1.0, eos_token='</s>'",
        "http://localhost:8000/v1 failed 3 times; mail a@b.org",
        "expected token 'end of print statement', got '%'",
        "No such option: --api-key (Possible options: --api-key-env)",
        "Unknown option 'hub_tokn'. Did you mean 'hub_token'? --max_new_tokens 5; pass@1: 0.5",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


def test_the_values_of_variables_and_remembered_ones_are_hidden_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_TOKEN", KEY)
    monkeypatch.setattr("polypath.credentials._remembered", set())
    remember("ano/ther+one\n")
    assert redact(f"a {KEY} b ano/ther+one c ano%2Fther%2Bone") == (
        "a [hidden] b [hidden] c [hidden]"
    )
    assert KEY[:6] not in one_line(f"{'x' * 50}\n{KEY}", 57), "hidden first, then cut"


def test_settings_are_hidden_to_any_depth() -> None:
    settings = {
        "hub_token": KEY,
        "use_auth_token": True,
        "model_init_kwargs": {"token": KEY, "eos_token": "<e>"},
        "task_options": ["level=3", f"api_key={KEY}"],
        "vllm_server_base_url": f"http://me:{KEY}@host",
        "beta": 0.5,
    }
    shown = hidden(settings)
    assert KEY not in str(shown)
    assert (shown["use_auth_token"], shown["beta"]) == (True, 0.5)
    assert shown["task_options"][0] == "level=3"
    assert shown["model_init_kwargs"]["eos_token"] == "<e>"


def test_an_environment_without_keys() -> None:
    kept = {
        "PATH": "/bin",
        "PWD": "/home",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "true",
    }
    keys = [
        "HF_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "WANDB_API_KEY",
        "MISTRAL_KEY",
        "DB_PASS",
        "MY_PASSWORD",
    ]
    given = {**kept, **dict.fromkeys(keys, KEY), "DATABASE_URL": f"postgres://me:{KEY}@host/db"}
    assert environment_without_keys(given) == kept


def test_no_text_is_cut_before_keys_are_hidden():
    source = Path(polypath.__file__).parent
    cut = re.compile(r"!r:\.\d|\[:\d+\]!r|repr\(\w+\)\[:")
    found = [path.name for path in source.rglob("*.py") if cut.search(path.read_text("utf-8"))]
    assert found == []
