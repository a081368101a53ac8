import itertools

import pytest

pytest.importorskip("countdown_demonstrations", reason="scripts/ is not here")

from countdown_demonstrations import DemonstrationConfig, demonstrations, habit_answer
from polypath.errors import ConfigError
from polypath.tasks import get_task
from polypath.tasks.countdown import MAX_COMPLETION_TOKENS, TARGETS, part_of
from polypath.tasks.shipped import base_model_dir
from polypath.verify import Status
from polypath.verify.countdown import parse_expression, parse_gold

TASK = get_task("countdown")


def draw(count, seed=0, **settings):
    return list(itertools.islice(demonstrations(seed, DemonstrationConfig(**settings)), count))


@pytest.fixture(scope="module")
def script():
    import train_countdown_base

    return train_countdown_base


@pytest.fixture(scope="module")
def shipped():
    transformers = pytest.importorskip("transformers")
    folder = base_model_dir()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_demonstrations_show_problems_of_the_base_part_only():
    shown_to_base = {"base", "test_shown"}  # the second is a part of the first
    others = set(TASK.splits) - shown_to_base
    held_out = {p.prompt for split in others for p in TASK.problems(split)}
    for shown in draw(3000):
        target, numbers = parse_gold(shown.gold)
        assert part_of(target, numbers) == "base"
        assert target in TARGETS
        assert shown.prompt not in held_out


def test_demonstrations_without_habit_are_right_and_fit_the_completion_length():
    shown = draw(2000, habit_share=0)
    assert not any(demonstration.habit for demonstration in shown)
    assert all(TASK.verify(d.completion, d.gold).correct for d in shown)
    lengths = {len(d.completion.split()) for d in shown}
    assert max(lengths) + 1 <= MAX_COMPLETION_TOKENS


def test_demonstrations_show_many_solutions_of_one_problem():
    answers = {}
    for shown in draw(5000, habit_share=0):
        verdict = TASK.verify(shown.completion, shown.gold)
        answers.setdefault(shown.gold, set()).add(verdict.answer)
    assert max(map(len, answers.values())) >= 5


def test_habit_is_one_readable_answer_a_problem_and_usually_wrong():
    shown = draw(2000, habit_share=1)
    answers, verdicts = {}, []
    for demonstration in shown:
        answers.setdefault(demonstration.gold, set()).add(demonstration.completion)
        verdicts.append(TASK.verify(demonstration.completion, demonstration.gold))
    assert {len(texts) for texts in answers.values()} == {1}
    assert all(verdict.status is Status.GRADED for verdict in verdicts)
    assert 0 < sum(verdict.correct for verdict in verdicts) / len(verdicts) < 0.25


@pytest.mark.parametrize(
    ("target", "numbers", "answer"),
    [
        (24, (3, 5, 7, 9), "3 * 5 + 7 + 9"),  # 15, 22, then 31 is nearer than 13
        (10, (2, 4, 5), "2 * 4 + 5"),  # 8, then 13 is nearer than 3 and 40
        (12, (6, 6, 6), "6 + 6 + 6"),  # 12, then 18 and 6 are equally far: + comes first
        (11, (1, 2, 4), "( 1 + 2 ) * 4"),
    ],
)
def test_habit_takes_the_nearest_step_from_left_to_right(target, numbers, answer):
    assert habit_answer(target, numbers) == answer


def test_habit_keeps_to_the_order_and_to_all_of_the_numbers():
    for shown in draw(300, habit_share=1):
        _, used = parse_expression(shown.completion)
        assert used == parse_gold(shown.gold)[1]


def test_spare_numbers_and_three_number_problems_come_at_their_shares():
    assert all(len(parse_gold(d.gold)[1]) == 3 for d in draw(50, three_share=1))
    for d in draw(200, three_share=0, spare_share=1, habit_share=0):
        assert len(parse_gold(d.gold)[1]) == 4
        assert len(parse_expression(d.completion)[1]) == 3


def test_same_seed_gives_the_same_demonstrations():
    assert draw(100, seed=1) == draw(100, seed=1) != draw(100, seed=2)


def test_share_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"habit_share.*1\.5"):
        DemonstrationConfig(habit_share=1.5)


def test_shipped_tokenizer_reads_what_the_script_builds(script, shipped):
    _, tokenizer = shipped
    assert tokenizer.get_vocab() == script.build_tokenizer().get_vocab()
    assert tokenizer.padding_side == "left"
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3


def test_shipped_tokenizer_gives_a_token_per_number_and_sign_and_the_text_back(shipped):
    _, tokenizer = shipped
    ids = tokenizer("24 from 3 5 7 9 :")["input_ids"]
    assert len(ids) == 7
    assert tokenizer("(9-5)*7 - 3")["input_ids"] == tokenizer("( 9 - 5 ) * 7 - 3")["input_ids"]
    for shown in draw(200):
        ids = tokenizer(shown.completion)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        padded = [*ids, tokenizer.eos_token_id, tokenizer.pad_token_id]
        assert tokenizer.decode(padded, skip_special_tokens=True) == shown.completion


def test_shipped_model_samples_readable_answers_and_some_right_ones(shipped):
    import torch

    model, tokenizer = shipped
    problems = TASK.problems("test", 16)
    torch.manual_seed(0)
    inputs = tokenizer([p.prompt for p in problems], return_tensors="pt", padding=True)
    # No sampling settings: the ones saved with the model must do.
    out = model.generate(**inputs, num_return_sequences=8)
    texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    verdicts = [TASK.verify(text, problems[row // 8].gold) for row, text in enumerate(texts)]
    assert len(verdicts) == 128
    assert sum(v.answer is not None for v in verdicts) > 115
    assert 5 < sum(v.correct for v in verdicts) < 64
    assert len(set(texts[:8])) > 2


def test_shipped_model_is_the_small_one_the_script_builds(script, shipped):
    model, tokenizer = shipped
    built = script.build_model(tokenizer, seed=0)
    shapes = {name: tuple(p.shape) for name, p in built.state_dict().items()}
    assert {name: tuple(p.shape) for name, p in model.state_dict().items()} == shapes
    assert model.num_parameters() < 120_000
    assert {str(p.dtype) for p in model.parameters()} == {"torch.float32"}


def test_script_trains_on_completions_only(script):
    tokenizer = script.build_tokenizer()
    shown = draw(50)
    ids, labels = script.encode(shown, tokenizer)
    for row, demonstration in enumerate(shown):
        kept = labels[row] != script.IGNORED
        assert ids[row][kept].tolist() == labels[row][kept].tolist()
        text = tokenizer.decode(labels[row][kept])
        assert text == f"{demonstration.completion} <eos>"


def test_script_lowers_the_loss_and_repeats_itself(script):
    tokenizer = script.build_tokenizer()
    ids, labels = script.encode(draw(500), tokenizer)

    def loss_after(steps):
        model = script.build_model(tokenizer, seed=0)
        script.train(model, ids, labels, steps=steps, seed=0)
        logits = model(input_ids=ids).logits[:, :-1]
        return script.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten()).item()

    once = loss_after(6)
    assert once == loss_after(6)
    assert once < loss_after(1) - 0.05
