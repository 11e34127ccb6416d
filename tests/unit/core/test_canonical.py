import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.canonical import canonical_json, sha256_hex

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "\\ud" not in json.dumps(value))  # lone surrogates are no text


def shuffled(value):
    """The same value with every dictionary's members in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(PLAIN)
def test_one_value_has_one_form_whatever_the_order_of_its_members(value):
    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(PLAIN)
def test_nothing_is_lost(value):
    assert json.loads(canonical_json(value)) == value


def test_no_white_space_and_text_as_it_is():
    assert canonical_json({"b": "é\n", "a": [1, 2.5]}) == '{"a":[1,2.5],"b":"é\\n"}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_the_hash_is_the_published_one():
    # FIPS 180-2, appendix B.1.
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
