"""The process that explains: opens releases and, where there is one, the log, to read only; it can write nothing.

Started by `app/explainer_process.py` with a small JSON description. It runs at a lower priority than the server, so that
predictions do not wait for explanations, and ends when its standard input does.
"""

import contextlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from modelwright.app.explainer_process import HEAD, ExplainerConfig, Question, Reply
from modelwright.app.priority import stand_back
from modelwright.core.clock import Clock, SystemClock, iso
from modelwright.core.errors import ConflictError, ReleaseError, UnavailableError, UnknownEventError
from modelwright.release.attribution import Attribution, Attributor
from modelwright.serving.events import Event, EventForm
from modelwright.serving.explanation import Contribution, Explanation
from modelwright.serving.live import Hosts, LiveRelease
from modelwright.serving.problems import HttpError, contract_error, problem_of


class Explainer:
    """Explains events, and predictions of the log by their id. Opens each release once, and holds the newest few."""

    def __init__(self, config: ExplainerConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log: Any = None
        self._hosts: Hosts | None = None
        self._held: dict[str, tuple[Attributor, LiveRelease]] = {}

    def open(self, name: str) -> None:
        """Open a release, with its libraries, before it is used. Raises what `problem_of` knows."""
        self._opened(name)

    def explain(self, champion: str, body: bytes) -> Explanation:
        """The explanation of a body: an event, or `{"id": ...}` of one that was predicted. Raises what `problem_of` knows."""
        attributor, live = self._opened(champion)
        contract = attributor.release.contract
        logged = self._log is not None
        id = _id_alone(body) if logged else None
        if id is not None:
            known = self._log.identity(id)
            if known is None or known.answer is None:
                raise UnknownEventError(
                    f"id {id!r} was never predicted; POST the event itself to /explain to see what would be answered"
                )
            return self._of_answer(id, known)
        try:
            event = EventForm(contract).event(msgspec.json.decode(body, type=contract.struct()))
        except msgspec.ValidationError as error:
            raise contract_error(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the body is not JSON: {error}") from None
        known = self._log.identity(event.id) if logged else None
        if known is not None:
            self._same(event, known)
            if known.answer is not None:
                return self._of_answer(event.id, known)
        elif not self._config.replay:
            EventForm(contract).check_ahead(event.at_us, self._clock)
        if self._hosts is not None:
            self._hosts.forget()  # the log may have grown since
        before = known.seq if known is not None and known.live else None
        features = live.features_of(event.values, event.at_us, before)
        return self._told(attributor, live, event.id, event.values, features, logged=False)

    @staticmethod
    def _same(event: Event, known: Any) -> None:
        from modelwright.ingest.identity import row_digest

        if row_digest(event.values) != known.digest:
            raise ConflictError(
                f"id {event.id!r} is in the log already with another body; an id names one event for good"
            )

    def _of_answer(self, id: str, known: Any) -> Explanation:
        """As it was answered: the same release, and the features it was served with."""
        row = self._log.answered(known.seq)
        if row is None:
            raise UnavailableError(f"id {id!r} was answered, and its prediction cannot be found in the log")
        attributor, live = self._opened(row.release)
        served = msgspec.json.decode(row.features)
        names = live.host.names if live.host is not None else ()
        features = [served.get(name) for name in names]
        return self._told(attributor, live, id, known.values(), features, logged=True)

    def _told(
        self,
        attributor: Attributor,
        live: LiveRelease,
        id: str,
        values: list[Any],
        features: list[Any],
        *,
        logged: bool,
    ) -> Explanation:
        release = attributor.release
        row = live.rows_of([(values, features)])
        found = attributor.explain(row)
        said = release.predict(row)
        by_name = dict(zip(release.contract.names, values, strict=True))
        for field in release.contract.fields:
            if field.kind == "time" and by_name[field.name] is not None:
                by_name[field.name] = iso(by_name[field.name])
        if live.host is not None:
            by_name |= dict(zip(live.host.names, features, strict=True))
        value = said.value[0]
        return Explanation(
            id=id,
            release=release.name,
            prediction=value.item() if hasattr(value, "item") else value,
            score=None if said.score is None else float(said.score[0]),
            of=found.of,
            unit=found.unit,
            method=found.method,
            base=found.base,
            output=found.output,
            logged=logged,
            contributions=ranked(found, [(column.name, by_name[column.name]) for column in release.manifest.inputs]),
        )

    def _opened(self, name: str) -> tuple[Attributor, LiveRelease]:
        if name not in self._held:
            attributor = Attributor(self._folder(name))
            release = attributor.release
            if self._config.workspace and self._log is None:
                self._open_log(release.contract, release.manifest)
            host = self._hosts.host(release) if self._hosts is not None else None
            self._held[name] = attributor, LiveRelease(release, host, release.contract)
            for oldest in list(self._held)[:-HELD]:
                del self._held[oldest]
        return self._held[name]

    def _folder(self, name: str) -> Path:
        given = Path(self._config.releases)
        places = [given, given / name, given.parent / name]
        if self._config.workspace:
            places.append(Path(self._config.workspace) / "releases" / name)
        for place in places:
            if place.name == name and (place / "manifest.json").is_file():
                return place
        raise ReleaseError(f"release {name} is not on this server any more, so what it answered cannot be explained")

    def _open_log(self, contract: Any, manifest: Any) -> None:
        from modelwright.lake.log import Log
        from modelwright.lake.rows import LogSchema
        from modelwright.lake.workspace import Workspace

        schema = LogSchema(contract, manifest.label.name, manifest.label.kind, manifest.others)
        self._log = Log.open(Workspace(Path(self._config.workspace)), schema, self._clock, readonly=True)
        self._hosts = Hosts(contract, _Unassigned(self._log.strings), self._log.history)


HELD = 4
"""Releases that are held open."""


class _Unassigned:
    """The log's dictionary for a reader: a text that has no number there gets one that no row of the log holds."""

    def __init__(self, strings: Any) -> None:
        self._strings = strings
        self._texts: dict[str, int] = {}

    def id_of(self, column: str, text: str) -> int:
        found: int | None = self._strings.find(column, text)
        return FIRST_UNASSIGNED + self._texts.setdefault(text, len(self._texts)) if found is None else found

    def find(self, column: str, text: str) -> int | None:
        found: int | None = self._strings.find(column, text)
        return found

    def text_of(self, column: str, id: int) -> str:
        text: str = self._strings.text_of(column, id)
        return text


FIRST_UNASSIGNED = 1 << 52
"""Beyond every number a log gives, and still exact as a float64."""


def ranked(found: Attribution, inputs: list[tuple[str, Any]]) -> list[Contribution]:
    """The contributions, the largest first; equals in the order of the inputs."""
    errors = found.errors or (None,) * len(inputs)
    rows = [
        Contribution(input=name, value=value, contribution=contribution, error=error)
        for (name, value), contribution, error in zip(inputs, found.contributions, errors, strict=True)
    ]
    return sorted(rows, key=lambda row: row.size, reverse=True)


def _id_alone(body: bytes) -> str | None:
    """The id of a body that holds nothing else."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(body, type=_Id).id
    return None


class _Id(msgspec.Struct, forbid_unknown_fields=True):
    id: str


def main(config: str) -> int:
    """The child: read questions from standard input until it ends."""
    stand_back()
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a model prints is no answer
    explainer = Explainer(msgspec.json.decode(config, type=ExplainerConfig), SystemClock())
    _write(answers, b"")
    while len(head := questions.read(HEAD.size)) == HEAD.size:
        question = msgspec.msgpack.decode(questions.read(*HEAD.unpack(head)), type=Question)
        with contextlib.suppress(Exception):  # what is wrong with it is told where it is used
            explainer.open(question.release)
        _write(answers, b"")
        try:
            reply = Reply(200, msgspec.json.encode(explainer.explain(question.release, question.body)))
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                traceback.print_exception(error, file=sys.stderr)
            reply = Reply(problem.status, msgspec.json.encode(problem))
        _write(answers, msgspec.msgpack.encode(reply))
    return 0


def _write(answers: Any, data: bytes) -> None:
    answers.write(HEAD.pack(len(data)) + data)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
