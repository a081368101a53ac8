"""A study's measurements as one small file, from which others go on: join a method, or add seeds.

For each problem of an evaluation the file has the number of samples of each right solution, of wrong ones and
of those without a verdict. All tables of a study follow from these, but for measures of texts. Samples,
models and rehearsal sets stay behind.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import polypath
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts import RolloutManifest, RolloutStore
from polypath.rollouts.files import read_json, write_file, write_json
from polypath.rollouts.samples import load_samples
from polypath.rollouts.schema import Rollout
from polypath.rollouts.sources import GREEDY_FOLDER, SAMPLES_FOLDER
from polypath.studies.config import Study
from polypath.studies.job_functions import COST, EVALUATED, SURPRISAL
from polypath.studies.plan import TIMINGS, StudyPlan
from polypath.studies.tuning import FOLDER, PICKED
from polypath.train.callbacks import LOG_FILE, read_log
from polypath.train.record import FINISHED_FILE
from polypath.verify.base import Status

KIND, VERSION = "polypath study", 1
HEAD, COUNTS = "pack.json", "counts.parquet"  # members of the file
UNPACKED = "unpacked"  # in the record of an evaluation whose samples have no texts
_SCHEMA = pa.schema(
    [
        pa.field("folder", pa.string(), nullable=False),
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("solutions", pa.list_(pa.int32()), nullable=False),  # samples of each right one
        pa.field("unknown", pa.int32(), nullable=False),  # right, and nothing says which solution
        pa.field("wrong", pa.int32(), nullable=False),
        pa.field("not_judged", pa.int32(), nullable=False),
        pa.field("greedy", pa.bool_()),
        pa.field("nats", pa.float32()),  # -log p of the scored tokens, summed
        pa.field("tokens", pa.int32()),  # scored ones; null if there are none
    ]
)


def pack(plans: Sequence[StudyPlan], path: str | Path) -> int:
    """Write the measurements of a study's finished jobs to one file.

    Args:
        plans: plans of the study's stages, from ``stages``.
        path: zip file to write. It is replaced as a whole.

    Returns:
        The number of jobs in it. Those that make rehearsal sets are never among them.

    Raises:
        ConfigError: the study has a page, relations or measures of texts; or none of its jobs is done.
    """
    study, out = plans[-1].study, plans[-1].out
    _refuse_texts(study, "--pack keeps counts of samples and no texts")
    done = {job.result: job.kind for plan in plans for job in plan.jobs() if job.result.exists()}
    evaluations = [path.parent for path, kind in done.items() if kind.startswith("evaluate")]
    runs = [path.parent for path, kind in done.items() if kind == "train"]
    if not evaluations and not runs:
        raise ConfigError(f"No job in {out} is done, so there is nothing to pack. Run the study.")
    names = {folder: folder.relative_to(out).as_posix() for folder in (*evaluations, *runs)}
    head = {
        "kind": KIND,
        "version": VERSION,
        "polypath": polypath.__version__,
        "study": study.name,
        "evaluations": {names[f]: _evaluated(f) | {SURPRISAL: {}} for f in evaluations},
        "runs": {
            names[f]: {
                FINISHED_FILE: read_json(f / FINISHED_FILE, "what a finished run wrote"),
                COST: _if_there(f / COST),
                LOG_FILE: read_log(f / LOG_FILE),
            }
            for f in runs
        },
        TIMINGS: _if_there(out / TIMINGS),
        PICKED: _if_there(out / FOLDER / PICKED),
    }
    counts = io.BytesIO()
    with pq.ParquetWriter(counts, _SCHEMA, compression="zstd", compression_level=19) as writer:
        for folder in evaluations:
            writer.write_table(_counted(folder, names[folder]))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(COUNTS, counts.getvalue())
        text = json.dumps(head, separators=(",", ":"))  # with NaN: a run that failed logs it
        file.writestr(HEAD, text, zipfile.ZIP_DEFLATED, 9)
    write_file(Path(path), content.getvalue())
    return len(names)


def require_texts(plan: StudyPlan) -> None:
    """Check that a study which measures texts has them: unpacked samples are counts only.

    Args:
        plan: plan of the study.

    Raises:
        ConfigError: an evaluation was unpacked, and the study has a page, relations or measures of texts.
    """
    for job in plan.jobs():
        if job.kind.startswith("evaluate") and job.result.exists():
            folder = job.result.parent
            if UNPACKED in _evaluated(folder):
                _refuse_texts(plan.study, f"{folder} was unpacked and has no texts")


def _refuse_texts(study: Study, why: str) -> None:
    needs = [key for key in ("page", "relations", "matched_measures") if getattr(study, key)]
    if needs:
        raise ConfigError(
            f"{why}, but {needs[0]} of the study {study.name!r} needs texts. Set page: false, and leave "
            "relations and matched_measures out, or use another --out."
        )


def _if_there(path: Path) -> dict[str, Any]:
    return read_json(path, "a record of the study") if path.is_file() else {}


def _evaluated(folder: Path) -> dict[str, Any]:
    return read_json(folder / EVALUATED, "what an evaluation wrote")


def _counted(folder: Path, name: str) -> pa.Table:
    """Return the counts of an evaluation, in the order of its problems."""
    samples, surprisal = load_samples(folder), _evaluated(folder).get(SURPRISAL, {})
    rows = []
    for n, problem_id in enumerate(samples.problem_ids):
        verdicts = samples.correct[n]
        right = Counter(
            answer for answer, verdict in zip(samples.answers[n], verdicts, strict=True) if verdict
        )
        unknown = right.pop(None, 0)
        nats, tokens = surprisal.get(problem_id, (None, None))
        rows.append(
            {
                "folder": name,
                "problem_id": problem_id,
                "solutions": list(right.values()),
                "unknown": unknown,
                "wrong": verdicts.count(False),
                "not_judged": verdicts.count(None),
                "greedy": None if samples.greedy_correct is None else samples.greedy_correct[n],
                "nats": nats,
                "tokens": tokens,
            }
        )
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The content of a packed study.

    Attributes:
        path: the file.
        head: its record: which evaluations and runs it has, and what they logged and cost.
        counts: a row for each problem of each evaluation.
    """

    path: Path
    head: Mapping[str, Any]
    counts: pa.Table

    def unpack(self, plan: StudyPlan) -> None:
        """Write the finished jobs into a study's folder. What is already there stays.

        Args:
            plan: plan of the study, or of its first stage.

        Raises:
            ConfigError: no job of the plan is in the file, or the study measures texts. Nothing is written.
        """
        _refuse_texts(plan.study, f"{self.path} has counts of samples and no texts")
        out, known = plan.out, {*self.head["runs"], *self.head["evaluations"]}
        wanted = {job.result.parent.relative_to(out).as_posix() for job in plan.jobs()}
        if known.isdisjoint(wanted):
            raise ConfigError(
                f"{self.path} has no result of the study {plan.study.name!r}: it was packed from "
                f"{self.head['study']!r} with polypath {self.head['polypath']}, with another base, other "
                "settings or other evaluations. Use the study file that it was made with."
            )
        for name, run in self.head["runs"].items():
            folder = out / name
            if (folder / FINISHED_FILE).exists():
                continue
            lines = "".join(json.dumps(line) + "\n" for line in run[LOG_FILE])
            write_file(folder / LOG_FILE, lines.encode())
            if run[COST]:
                write_json(folder / COST, run[COST])
            write_json(folder / FINISHED_FILE, run[FINISHED_FILE])
        for name, rows in self._rows():
            if not (out / name / EVALUATED).exists():
                _write_evaluation(out / name, self.head["evaluations"][name], rows)
        timings = out / TIMINGS
        write_json(timings, {**self.head[TIMINGS], **_if_there(timings)})
        picked = out / FOLDER / PICKED
        if self.head[PICKED] and not picked.exists():
            write_json(picked, self.head[PICKED])

    def _rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield each evaluation with its rows, which follow each other in the table."""
        start, folders = 0, self.counts["folder"].to_pylist()
        for end in range(1, len(folders) + 1):
            if end == len(folders) or folders[end] != folders[start]:
                yield folders[start], self.counts.slice(start, end - start).to_pylist()
                start = end


def read_pack(path: str | Path) -> Packed:
    """Read a file that ``pack`` wrote.

    Args:
        path: the zip file.

    Raises:
        MissingFileError: it does not exist.
        DataError: it is no packed study, or one of a later version.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(
            f"Packed study {file} does not exist. polypath study --pack writes one."
        )
    try:
        with zipfile.ZipFile(file) as members:
            head = json.loads(members.read(HEAD))
            counts = pq.read_table(io.BytesIO(members.read(COUNTS)), schema=_SCHEMA)
    except (zipfile.BadZipFile, KeyError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0][:120]
        raise DataError(
            f"{file} is no packed study, or it is damaged ({reason}). polypath study --pack writes one."
        ) from None
    if not isinstance(head, dict):
        raise DataError(f"{file} is no packed study. polypath study --pack writes one.")
    if head.get("kind") != KIND or head.get("version") != VERSION:
        raise DataError(
            f"{file} is a {head.get('kind')!r} of version {head.get('version')!r}; this polypath reads "
            f"{KIND!r} of version {VERSION}."
        )
    for name in (*head["runs"], *head["evaluations"]):
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:  # a file of somebody else's
            raise DataError(f"{file} names a folder outside the study: {name!r}. Do not use it.")
    if set(counts["folder"].to_pylist()) != head["evaluations"].keys():
        raise DataError(f"{file} is damaged: its counts are not those of its evaluations.")
    return Packed(path=file, head=head, counts=counts)


def _write_evaluation(
    folder: Path, evaluated: Mapping[str, Any], rows: list[dict[str, Any]]
) -> None:
    """Write samples without texts that have these counts, and last the record that they are complete."""
    manifest = RolloutManifest(model=str(evaluated.get("model")))
    _write_store(folder / SAMPLES_FOLDER, manifest, (s for row in rows for s in _samples(row)))
    greedy = [
        _sample(row["problem_id"], 0, row["greedy"], None)
        for row in rows
        if row["greedy"] is not None
    ]
    if greedy:
        _write_store(folder / GREEDY_FOLDER, manifest, greedy)
    surprisal = {
        row["problem_id"]: (row["nats"], row["tokens"]) for row in rows if row["tokens"] is not None
    }
    write_json(folder / EVALUATED, {**evaluated, SURPRISAL: surprisal, UNPACKED: True})


def _write_store(folder: Path, manifest: RolloutManifest, rows: Iterable[Rollout]) -> None:
    with RolloutStore.create_or_open(folder, manifest) as store:
        if not store.shards():  # else an unpacking was cut off after this one
            store.append(rows)


def _samples(row: Mapping[str, Any]) -> Iterator[Rollout]:
    kinds: list[tuple[bool | None, str | None, int]] = [
        *((True, str(n), count) for n, count in enumerate(row["solutions"])),
        (True, None, row["unknown"]),
        (False, None, row["wrong"]),
        (None, None, row["not_judged"]),
    ]
    pairs = [(correct, answer) for correct, answer, count in kinds for _ in range(count)]
    for number, (correct, answer) in enumerate(pairs):
        yield _sample(row["problem_id"], number, correct, answer)


def _sample(problem_id: str, number: int, correct: bool | None, answer: str | None) -> Rollout:
    return Rollout(
        problem_id=problem_id,
        sample_id=number,
        prompt="",
        completion="",
        gold="",
        status=Status.ERROR if correct is None else Status.GRADED,
        reward=float(bool(correct)),
        correct=bool(correct),
        answer=answer,
        n_tokens=None,
        finish_reason=None,
    )
