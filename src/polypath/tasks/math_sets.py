r"""Mathematics: sets of problems with one final answer each.

Sets on the hub, by id. Those from the papers' own scripts and cards are certain. The id of
``college_math`` is from memory and was not confirmed, and no set was loaded from the hub when this
was written. ``hub=``, ``config=``, ``hub_split=`` and ``revision=`` change what is read, and ``data=``
reads local files.

R1-zero-Div trains on GSM8K and evaluates on GSM8K, MATH500, OlympiadBench and College Math; DRA-GRPO
trains on Open-RS and evaluates on AIME24, MATH500, AMC23, Minerva and OlympiadBench; DPH-RL adds
AIME25. Their protocols are in ``tasks.protocols``; ``protocol=`` chooses another one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from polypath.tasks.prompts import MATH_PROMPTS, math_prompt
from polypath.tasks.record_task import OPTIONS, Asked, RecordTask, SetSpec
from polypath.tasks.records import (
    ANSWER_FIELDS,
    QUESTION_FIELDS,
    Row,
    find_field,
    gold_of,
    text_of,
)

EXTRACTIONS = ("any", "box")  # of polypath.verify.math
_TEST = ("test",)
_IN_TRAIN = {"test": "train"}  # benchmarks uploaded as the split "train"

MATH_SETS: dict[str, SetSpec] = {
    spec.name: spec
    for spec in (
        SetSpec(
            name="gsm8k",
            what="grade-school word problems (Cobbe 2021): 7,473 to train, 1,319 to test",
            splits=("train", "test"),
            hub="openai/gsm8k",
            config="main",
            file_names={"train": ("gsm8k_train",), "test": ("gsm8k_test", "gsm8k")},
            protocol="r1_zero_div",
            prompt="boxed",
            max_completion_length=756,
        ),
        SetSpec(
            name="math500",
            what="500 problems of the MATH test set (Hendrycks 2021, Lightman 2023)",
            splits=_TEST,
            hub="HuggingFaceH4/MATH-500",
            file_names={"test": ("math500",)},
            protocol="r1_zero_div",
            prompt="boxed",
        ),
        SetSpec(
            name="olympiadbench",
            what="olympiad problems in English with a final answer (He 2024)",
            splits=_TEST,
            hub="knoveleng/OlympiadBench",
            hub_splits=_IN_TRAIN,
            file_names={"test": ("olympiadbench",)},
            protocol="r1_zero_div",
            prompt="boxed",
        ),
        SetSpec(
            name="college_math",
            what="problems of college textbooks (Tang 2024, MathScale): 2,818 to test",
            splits=_TEST,
            hub="di-zhang-fdu/College_Math_Test",
            file_names={"test": ("college_math",)},
            protocol="r1_zero_div",
            prompt="boxed",
        ),
        SetSpec(
            name="aime24",
            what="American Invitational Mathematics Examination 2024: 30 problems",
            splits=_TEST,
            hub="HuggingFaceH4/aime_2024",
            hub_splits=_IN_TRAIN,
            file_names={"test": ("aime24",)},
            protocol="dra",
            prompt="boxed",
        ),
        SetSpec(
            name="aime25",
            what="American Invitational Mathematics Examination 2025: 30 problems",
            splits=_TEST,
            hub="math-ai/aime25",
            file_names={"test": ("aime25",)},
            protocol="dph_math",
            prompt="boxed",
        ),
        SetSpec(
            name="amc23",
            what="American Mathematics Competitions 2023: 40 problems with a number as answer",
            splits=_TEST,
            hub="knoveleng/AMC-23",
            hub_splits=_IN_TRAIN,
            file_names={"test": ("amc23",)},
            protocol="dra",
            prompt="boxed",
        ),
        SetSpec(
            name="minerva_math",
            what="undergraduate science problems of OpenCourseWare (Lewkowycz 2022): 272",
            splits=_TEST,
            hub="knoveleng/Minerva-Math",
            hub_splits=_IN_TRAIN,
            file_names={"test": ("minerva_math",)},
            protocol="dra",
            prompt="boxed",
        ),
        SetSpec(
            name="open_rs",
            what="7,000 problems of mixed difficulty, the training set of Open-RS and DRA-GRPO",
            splits=("train",),
            hub="knoveleng/open-rs",
            file_names={"train": ("open_rs", "open-rs")},
            protocol="dra",
            prompt="dra",
            max_completion_length=3584,
        ),
    )
}


class MathSet(RecordTask):
    r"""One of ``MATH_SETS``; see ``polypath.tasks.base.Task`` for the interface."""

    SETS = MATH_SETS
    OPTIONS: ClassVar = {
        **OPTIONS,
        "prompt": f"how the question is asked: {', '.join(MATH_PROMPTS)}",
        "answer_field": "field that holds the answer; found automatically",
        "extraction": "which answers count: any, or box for \\boxed{} only",
    }
    CHOICES: ClassVar = {"extraction": EXTRACTIONS}
    one_answer = True  # right completions of a problem have the same final result
    verifier = "equal mathematically (math-verify)"
    verifier_factory = "polypath.verify.math:math_verifier"

    def __init__(self, name: str, options: Mapping[str, str] | None = None) -> None:
        super().__init__(name, options)
        self._ask = math_prompt(self.prompt)

    def _asked(self, rows: Sequence[Row], where: str) -> list[Asked]:
        chosen = self.options
        question = find_field(
            rows,
            chosen.get("question_field"),
            QUESTION_FIELDS,
            what="question_field",
            where=where,
        )
        answer = find_field(
            rows, chosen.get("answer_field"), ANSWER_FIELDS, what="answer_field", where=where
        )
        self.fields = {"question": question, "answer": answer}
        asked = []
        for number, row in enumerate(rows, start=1):
            place = f"{where}, row {number}"
            text = text_of(row, question, place)
            gold = gold_of(row, answer, place)
            asked.append(Asked(text, self._ask(text), gold, {"question": text}))
        return asked

    def gold_completion(self, gold: str) -> str:
        """Return the gold in a box."""
        return f"\\boxed{{{gold}}}"

    def _verifier_options(self) -> dict[str, Any]:
        return {"extraction": self.options.get("extraction", EXTRACTIONS[0])}
