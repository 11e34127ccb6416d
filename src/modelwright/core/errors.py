"""Every error modelwright raises on purpose.

    ModelwrightError                 base: one line that says what, where and what to do
    ├── DeclarationError             the system file declares something that cannot be     (exit code 2)
    ├── UsageError                   a command or call was used in a way it cannot serve   (exit code 2)
    ├── DataError                    a file is not readable as what it was given as
    ├── ContractError                one event or outcome breaks the contract, with its field
    ├── ConflictError                an id is known already, with another body
    ├── UnknownEventError            an outcome names an event the log does not hold
    ├── WorkspaceError               the state folder is locked, damaged or of another system
    │   └── NoRoomError              its disk or its buffer is full: nothing new can be kept, reads go on
    ├── TrainingError                a model failed in fit or predicts what no model may
    ├── ReleaseError                 a release folder is incomplete, altered or cannot run here
    ├── UnavailableError             there is nothing to answer with (yet)
    ├── StreamError                  a message broker is not there, or refuses what it is asked
    ├── NotifyError                  a receiver of alerts did not take a message
    └── MissingExtraError            an optional library is absent; names the install command

Errors know nothing of HTTP: `serving` maps them to status codes in one table.
"""


class ModelwrightError(Exception):
    """Base of all errors raised on purpose; `str(error)` is one line a user can act on."""


def first_line(error: BaseException) -> str:
    """What somebody else's error says, in one line.

    >>> first_line(ValueError("two\\nlines")), first_line(KeyError())
    ('ValueError: two', 'KeyError')
    """
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


class DeclarationError(ModelwrightError):
    """A declaration that cannot be: names the class, the field and the remedy."""


class UsageError(ModelwrightError):
    """A command or function called in a way it cannot serve."""


class DataError(ModelwrightError):
    """A file that cannot be read as what it was given as."""


class ContractError(ModelwrightError):
    """One event or outcome that breaks the contract.

    `field` is the member at fault (empty for the whole body).
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ConflictError(ModelwrightError):
    """The id is in the log already, with another body."""


class UnknownEventError(ModelwrightError):
    """An outcome for an id that is not in the log."""


class WorkspaceError(ModelwrightError):
    """The state folder is locked, damaged, or belongs to another declaration."""


class NoRoomError(WorkspaceError):
    """The state folder's disk, or the log's buffer, is full; what was being written is not, and reads go on."""


class TrainingError(ModelwrightError):
    """A model failed in fit, or predicts what no model may."""


class ReleaseError(ModelwrightError):
    """A release folder is incomplete, altered, or cannot run here."""


class UnavailableError(ModelwrightError):
    """There is nothing to answer with, for now."""


class StreamError(ModelwrightError):
    """A message broker is not there, or refuses what it is asked; what it holds is asked for again."""


class NotifyError(ModelwrightError):
    """A receiver of alerts did not take a message; it is sent again."""


class MissingExtraError(ModelwrightError):
    """An optional library is absent; the message holds the install command."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install 'modelwright[{extra}]'")
