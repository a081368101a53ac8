import itertools
from collections import Counter
from fractions import Fraction

import pytest

pytest.importorskip("math_verify")
pytest.importorskip("word_problem_demonstrations", reason="scripts/ is not here")

from polypath.errors import ConfigError
from polypath.metrics.equations import extract_equations
from polypath.tasks import get_task
from polypath.tasks.shipped import SHIPPED_MODELS, shipped_model
from polypath.tasks.word_problems import MAX_COMPLETION_TOKENS, SPLITS
from polypath.tasks.word_problems.kinds import KINDS
from polypath.tasks.word_problems.make import all_problems
from polypath.tasks.word_problems.stories import STORIES
from polypath.tasks.word_problems.ways import way_of
from polypath.tasks.word_problems.writing import LARGEST
from word_problem_demonstrations import (
    HABITS,
    DemonstrationConfig,
    demonstrations,
    drills,
    habit_text,
)

MODEL_DIR = SHIPPED_MODELS["word-problems-base"]
TASK = get_task("word_problems")


def draw(count, seed=0, **settings):
    return list(itertools.islice(demonstrations(seed, DemonstrationConfig(**settings)), count))


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("trl")
    import train_word_problems_base

    return train_word_problems_base


@pytest.fixture(scope="module")
def shipped():
    transformers = pytest.importorskip("transformers")
    folder = shipped_model("word-problems-base")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_demonstrations_show_problems_of_the_base_part_only():
    held_out = {p.problem_id for split in SPLITS[1:] for p in TASK.problems(split)}
    shown = draw(3000)
    assert not held_out & {one.problem.problem_id for one in shown}
    assert {one.problem.story for one in shown} == STORIES.keys()


def test_demonstrations_without_habit_show_every_way_of_a_problem_evenly():
    ways = Counter()
    for one in draw(2000, habit_shares=(0.0,)):
        assert not one.habit
        if one.problem.told.kind == "left":
            ways[way_of(one.completion, Fraction(one.problem.answer), one.problem.numbers)] += 1
    assert len(ways) == 4
    assert min(ways.values()) > 0.6 * max(ways.values())


def test_the_habit_of_a_problem_is_one_text_with_sound_arithmetic_and_a_wrong_answer():
    assert HABITS.keys() == KINDS.keys()
    for problem in all_problems()[:300]:
        text = habit_text(problem)
        if text is None:
            continue
        answer = int(text.removesuffix(".").split()[-1])
        assert answer != problem.answer
        assert way_of(text, Fraction(answer), problem.numbers) is not None
    shown = draw(500, habit_shares=(1.0,))
    assert sum(one.habit for one in shown) > 480
    assert all(one.completion == habit_text(one.problem) for one in shown if one.habit)


def test_the_share_of_the_habit_depends_on_the_story():
    found = {}
    for one in draw(4000, habit_shares=(0.0, 1.0)):
        if habit_text(one.problem) is not None:
            found.setdefault(one.problem.story, set()).add(one.habit)
    assert {len(kinds) for kinds in found.values()} == {1}
    assert 0.25 < sum(kinds == {True} for kinds in found.values()) / len(found) < 0.75


def test_same_seed_gives_the_same_demonstrations():
    assert draw(100, seed=1) == draw(100, seed=1) != draw(100, seed=2)


@pytest.mark.parametrize("shares", [(), (0.1, 1.5)])
def test_habit_shares_out_of_range_are_refused(shares):
    with pytest.raises(ConfigError, match="habit_shares"):
        DemonstrationConfig(habit_shares=shares)


def test_drills_hold_and_have_all_signs():
    shown = list(itertools.islice(drills(0), 2000))
    for drill in shown:
        left, sign, right, _, result = drill.split()
        assert way_of(drill, Fraction(result), (int(left), int(right))) in (
            {f"a {sign} b"} if left != right else {f"a {sign} a"}
        ), drill
        assert all(1 <= int(number) <= LARGEST for number in (left, right, result))
    assert {drill.split()[1] for drill in shown} == {*"+-*/"}


def test_shipped_tokenizer_is_what_the_script_builds(script, shipped):
    _, tokenizer = shipped
    built = script.build_tokenizer(0)
    assert tokenizer.get_vocab() == built.get_vocab()
    assert tokenizer.chat_template == built.chat_template
    assert tokenizer.padding_side == "left"


def test_shipped_tokenizer_gives_texts_back_and_has_a_token_for_each_number(shipped):
    _, tokenizer = shipped
    texts = [one.completion for one in draw(500)] + ["Größe: 3½ €, \u4e2d?"]
    ids = tokenizer(texts)["input_ids"]
    assert tokenizer.batch_decode(ids) == texts
    assert max(map(len, ids[:-1])) < MAX_COMPLETION_TOKENS
    assert all(len(tokenizer(f" {n}")["input_ids"]) == 1 for n in range(1, LARGEST + 1))


def test_longest_demonstrated_text_fits_into_a_completion(shipped):
    _, tokenizer = shipped
    long = [p for p in all_problems() if KINDS[p.told.kind].long][:200]
    texts = [text for p in long for texts in p.texts() for text in texts]
    longest = max(map(len, tokenizer(texts)["input_ids"]))
    assert 15 < longest < MAX_COMPLETION_TOKENS


def test_shipped_model_is_the_small_one_the_script_builds(script, shipped):
    model, tokenizer = shipped
    built = script.build_model(tokenizer, seed=0)
    shapes = {name: tuple(p.shape) for name, p in built.state_dict().items()}
    assert {name: tuple(p.shape) for name, p in model.state_dict().items()} == shapes
    assert sum(file.stat().st_size for file in MODEL_DIR.iterdir()) < 5_000_000


def test_shipped_model_is_right_at_times_and_in_several_ways(shipped):
    import torch

    model, tokenizer = shipped
    problems = TASK.problems("test", 16)
    torch.manual_seed(0)
    inputs = tokenizer.apply_chat_template(
        [p.prompt for p in problems],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        padding=True,
    )
    # No sampling settings: the ones saved with the model must do.
    out = model.generate(**inputs, num_return_sequences=16)
    texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    golds = [problem.gold for problem in problems for _ in range(16)]
    verdicts = TASK.verify_batch(texts, golds)
    groups = [verdicts[i : i + 16] for i in range(0, len(verdicts), 16)]
    right = [[v.answer for v in group if v.correct] for group in groups]
    assert 0.15 < sum(map(len, right)) / len(verdicts) < 0.45
    assert sum(bool(found) for found in right) / len(right) > 0.7
    assert sum(len(set(found)) for found in right) / len(right) > 1.5
    # Div-Equ has equations to count.
    assert sum(bool(extract_equations(text)) for text in texts) / len(texts) > 0.9


def test_script_trains_on_completions_and_results_only(script, shipped):
    _, tokenizer = shipped
    shown = draw(20)
    ids, labels = script.pad(script.encode(shown, tokenizer), tokenizer.pad_token_id)
    for row, one in enumerate(shown):
        kept = labels[row] != script.IGNORED
        assert ids[row][kept].tolist() == labels[row][kept].tolist()
        assert tokenizer.decode(labels[row][kept]) == f"{one.completion}<|end|>"
    _, labels = script.drill_examples(0, 1, tokenizer)[0]
    results = [label for label in labels if label != script.IGNORED]
    expected = [drill.split()[-1] for drill in itertools.islice(drills(0), script.DRILLS_A_ROW)]
    assert tokenizer.decode(results).split() == expected


def test_script_lowers_the_loss_and_repeats_itself(script, shipped):
    import torch

    _, tokenizer = shipped
    examples = script.encode(draw(200), tokenizer)
    ids, labels = script.pad(examples[:50], tokenizer.pad_token_id)

    def loss_after(steps):
        model = script.build_model(tokenizer, seed=0)
        script.train(model, examples, size=16, steps=steps, peak=3e-3, seed=0, name="test")
        with torch.no_grad():
            logits = model(input_ids=ids).logits[:, :-1]
        return script.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten()).item()

    once = loss_after(6)
    assert once == loss_after(6)
    assert once < loss_after(1) - 0.05
