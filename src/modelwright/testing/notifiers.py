"""What every implementation of the notifier port must do, as a test case to inherit from.

class TestMyPager(NotifierConformance):
    @pytest.fixture
    def receiver(self): ...         # a `receivers.Received`
    @pytest.fixture
    def notifier(self, receiver): ...   # to that receiver; where there are secrets, `SECRET` is one
    @pytest.fixture
    def hasty(self, receiver): ...      # the same, but it waits for much less than `receivers.HANG_S`
    @pytest.fixture
    def absent(self): ...           # to a receiver that is not there
"""

import pytest

from modelwright.control.notice import Notice
from modelwright.control.notifier import Notifier
from modelwright.core.errors import NotifyError
from modelwright.testing.receivers import Received

SECRET = "hunter2-do-not-tell"  # noqa: S105  # nobody's
NOTICE = Notice(
    id="fraud-7-0123456789ab", system="fraud", kind="alert", release="r3-0123456789ab", at="2026-01-02T00:00:00Z",
    what="drift of amount: median 1, now 2 €", since="2026-01-01T12:00:00Z", sure="200 times likelier.",
    did="trained r4", advice="look at it",
)  # fmt: skip


class NotifierConformance:
    """Inherit, and give the fixtures."""

    def test_a_message_arrives_whole_with_its_id(self, notifier: Notifier, receiver: Received) -> None:
        notifier.send(NOTICE)
        (message,) = receiver.messages
        for part in (
            NOTICE.id,
            "drift of amount",
            "2026-01-01 12:00",
            "200 times likelier",
            "trained r4",
            "look at it",
        ):
            assert part in message

    def test_what_is_sent_again_has_the_same_id(self, notifier: Notifier, receiver: Received) -> None:
        notifier.send(NOTICE)
        notifier.send(NOTICE)
        assert [NOTICE.id in message for message in receiver.messages] == [True, True]

    def test_a_refusal_is_an_error_in_one_line_without_secrets(self, notifier: Notifier, receiver: Received) -> None:
        receiver.mood = "refuses"
        check_error(notifier)
        receiver.mood = "takes"
        notifier.send(NOTICE)

    def test_a_receiver_that_hangs_is_an_error_too(self, hasty: Notifier, receiver: Received) -> None:
        receiver.mood = "hangs"
        check_error(hasty)

    def test_so_is_one_that_is_not_there(self, absent: Notifier) -> None:
        check_error(absent)


def check_error(notifier: Notifier) -> None:
    """Sending raises `NotifyError`, in one line that holds no secret."""
    with pytest.raises(NotifyError) as caught:
        notifier.send(NOTICE)
    said = str(caught.value)
    assert said and "\n" not in said and SECRET not in said
