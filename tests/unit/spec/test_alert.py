"""Who is told is declared with its errors in one line, and without a secret in any of them."""

import pytest

from modelwright import alert
from modelwright.core.errors import DeclarationError
from modelwright.lake import journal
from modelwright.spec.alert import KINDS, check_alerts

PATH = "https://hooks.example.org/services/T0/very-secret"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: alert.webhook("hooks.example.org"), "this is no address to post to; give http"),
        (lambda: alert.webhook("ftp://example.org/very-secret"), "this is no address to post to"),
        (lambda: alert.webhook("http://:80/very-secret"), "this is no address to post to"),
        (lambda: alert.webhook("http://h:99999/very-secret"), "this is no address to post to"),
        (lambda: alert.webhook("https://h/a b/very-secret"), "this is no address to post to"),
        (lambda: alert.webhook("https://me:very-secret@h/"), r"there is a password in the address; give it as headers="),
        (lambda: alert.webhook(7), "give the address as a string"),
        (lambda: alert.webhook(PATH, headers={"a b": "x"}), "'a b' is no name of a header"),
        (lambda: alert.webhook(PATH, headers={"X": "very-secret\r\nY: 1"}), "the value of 'X' is no line of plain text"),
        (lambda: alert.webhook(PATH, headers=["X"]), "give a dictionary of names and values"),
        (lambda: alert.webhook(PATH, kinds="alert"), r"kinds='alert'\): give a list"),
        (lambda: alert.webhook(PATH, kinds=["alerts"]), "no decision is called 'alerts'; choose from trained, gated"),
        (lambda: alert.email(), "give at least one address"),
        (lambda: alert.email("ops"), r"alert.email\('ops'\): this is no address; give one such as"),
        (lambda: alert.email("a@b\nBcc: c@d"), "this is no address"),
        (lambda: alert.email("a@b.org", sender="x"), r"'x'\): this is no address"),
        (lambda: alert.email("a@b.org", smtp="http://h/very-secret"), r"smtp=\): give smtp://"),
        (lambda: alert.command(""), "give a program and its arguments as one string"),
        (lambda: alert.command("say 'it"), "No closing quotation; close what is quoted"),
        (lambda: check_alerts("s", ["https://x"]), "str is no alert; use alert.webhook"),
        (lambda: check_alerts("s", [alert.webhook(PATH), alert.webhook(PATH)]), "webhook hooks.example.org stands twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line_without_secrets(make, said):
    with pytest.raises(DeclarationError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value) and "very-secret" not in str(caught.value)


def test_what_people_and_the_state_folder_see_is_no_secret():
    hook = alert.webhook(PATH, headers={"Authorization": "Bearer $TOKEN"})
    assert hook.name == "webhook hooks.example.org"
    assert "secret" not in hook.key
    assert alert.webhook("$HOOK").name == "webhook $HOOK"
    assert alert.command("notify --token very-secret").name == "command notify"


def test_a_receiver_is_the_same_whatever_it_is_told():
    assert alert.webhook(PATH).key == alert.webhook(PATH, kinds=["promoted"]).key != alert.webhook(PATH + "2").key


def test_every_kind_of_decision_may_be_asked_for():
    assert set(KINDS) == journal.KINDS


def test_a_system_takes_several_and_only_alerts(declare):
    both = [alert.webhook(PATH), alert.email("ops@example.org")]
    assert declare(alerts=both).alerts == tuple(both)
    with pytest.raises(DeclarationError, match=r"alerts='ops@example.org'\): give a list"):
        declare(alerts="ops@example.org")
