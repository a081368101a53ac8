import itertools
from collections import Counter

import pytest

pytest.importorskip("sqlglot")
pytest.importorskip("small_sql", reason="scripts/ is not here")

from polypath.errors import ConfigError
from polypath.tasks import get_task
from polypath.tasks.shipped import SHIPPED_MODELS, shipped_model
from polypath.tasks.small_sql import MAX_COMPLETION_TOKENS, SPLITS
from small_sql.demonstrations import DemonstrationConfig, demonstrations
from small_sql.questions import all_questions

MODEL_DIR = SHIPPED_MODELS["small-sql-base"]
TASK = get_task("small_sql")


def draw(count, seed=0, **settings):
    return list(itertools.islice(demonstrations(seed, DemonstrationConfig(**settings)), count))


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("trl")
    import train_small_sql_base

    return train_small_sql_base


@pytest.fixture(scope="module")
def shipped():
    transformers = pytest.importorskip("transformers")
    folder = shipped_model("small-sql-base")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_shipped_models_are_found_by_name_and_other_names_left_alone():
    assert shipped_model("small-sql-base") == str(MODEL_DIR)
    assert shipped_model("some/model") == "some/model"
    assert all((folder / "config.json").is_file() for folder in SHIPPED_MODELS.values())


def test_demonstrations_show_questions_of_the_base_part_only():
    held_out = {p.problem_id for split in SPLITS[1:] for p in TASK.problems(split)}
    shown = draw(3000)
    assert {one.question.part for one in shown} == {"base"}
    assert not held_out & {one.question.question_id for one in shown}


def test_demonstrations_without_habit_show_every_reading_and_query_of_a_question():
    shown = draw(20_000, habit_shares=(0.0,))
    assert not any(one.habit for one in shown)
    question = Counter(one.question for one in shown).most_common(1)[0][0]
    texts = {one.completion for one in shown if one.question == question}
    assert texts <= {*question.queries, *question.others}
    assert len(texts) >= 3
    open_ones = [one for one in shown if one.question.others]
    meant = sum(one.completion in one.question.queries for one in open_ones) / len(open_ones)
    assert 0.45 < meant < 0.65


def test_habit_is_one_query_a_question_and_its_share_depends_on_the_kind_of_question():
    shown = draw(6000, habit_shares=(0.0, 1.0))
    habits = {}
    for one in shown:
        kind = (one.question.database, one.question.template)
        habits.setdefault(kind, set()).add(one.habit)
        assert (one.completion == one.question.habit) == one.habit
    assert {len(found) for found in habits.values()} == {1}
    share = sum(found == {True} for found in habits.values()) / len(habits)
    assert 0.35 < share < 0.65


def test_same_seed_gives_the_same_demonstrations():
    assert draw(100, seed=1) == draw(100, seed=1) != draw(100, seed=2)


@pytest.mark.parametrize("shares", [(), (0.1, 1.5)])
def test_habit_shares_out_of_range_are_refused(shares):
    with pytest.raises(ConfigError, match="habit_shares"):
        DemonstrationConfig(habit_shares=shares)


def test_shipped_tokenizer_is_what_the_script_builds(script, shipped):
    _, tokenizer = shipped
    assert tokenizer.get_vocab() == script.build_tokenizer().get_vocab()
    assert tokenizer.padding_side == "left"


def test_shipped_tokenizer_gives_queries_back(shipped):
    _, tokenizer = shipped
    texts = [
        text for q in all_questions()[::4] for text in (*q.queries, *q.others, q.habit, q.prompt)
    ]
    texts = list(dict.fromkeys(texts))
    ids = tokenizer(texts)["input_ids"]
    assert tokenizer.unk_token_id not in set(itertools.chain(*ids))
    ended = [[*row, tokenizer.eos_token_id, tokenizer.pad_token_id] for row in ids]
    assert tokenizer.batch_decode(ended, skip_special_tokens=True) == texts


def test_shipped_model_is_the_small_one_the_script_builds(script, shipped):
    model, tokenizer = shipped
    built = script.build_model(tokenizer, seed=0)
    shapes = {name: tuple(p.shape) for name, p in built.state_dict().items()}
    assert {name: tuple(p.shape) for name, p in model.state_dict().items()} == shapes
    weights = MODEL_DIR / "model.safetensors"
    assert weights.stat().st_size < 1_500_000


def test_shipped_model_is_right_at_times_and_in_several_ways(shipped):
    import torch

    model, tokenizer = shipped
    problems = TASK.problems("test", 24)
    torch.manual_seed(0)
    inputs = tokenizer([p.prompt for p in problems], return_tensors="pt", padding=True)
    # No sampling settings: the ones saved with the model must do.
    out = model.generate(**inputs, num_return_sequences=16)
    assert out.shape[1] <= inputs["input_ids"].shape[1] + MAX_COMPLETION_TOKENS
    texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    golds = [problem.gold for problem in problems for _ in range(16)]
    verdicts = TASK.verify_batch(texts, golds)
    groups = [verdicts[i : i + 16] for i in range(0, len(verdicts), 16)]
    right = [[v.answer for v in group if v.correct] for group in groups]
    assert 0.25 < sum(map(len, right)) / len(verdicts) < 0.6
    assert sum(bool(found) for found in right) / len(right) > 0.7
    assert sum(len(set(found)) for found in right) / len(right) > 1.5


def test_script_trains_on_completions_only(script):
    tokenizer = script.build_tokenizer()
    shown = draw(50)
    ids, labels = script.pad(script.encode(shown, tokenizer), tokenizer.pad_token_id)
    for row, one in enumerate(shown):
        kept = labels[row] != script.IGNORED
        assert ids[row][kept].tolist() == labels[row][kept].tolist()
        assert tokenizer.decode(labels[row][kept]) == f"{one.completion} <eos>"


def test_script_lowers_the_loss_and_repeats_itself(script):
    tokenizer = script.build_tokenizer()
    examples = script.encode(draw(500), tokenizer)
    ids, labels = script.pad(examples[:100], tokenizer.pad_token_id)

    def loss_after(steps):
        model = script.build_model(tokenizer, seed=0)
        script.train(model, examples, steps=steps, seed=0)
        logits = model(input_ids=ids).logits[:, :-1]
        return script.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten()).item()

    once = loss_after(6)
    assert once == loss_after(6)
    assert once < loss_after(1) - 0.05
