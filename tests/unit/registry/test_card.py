"""The card tells people what the manifest tells machines."""

import msgspec

from modelwright.registry.card import card
from modelwright.release.inputs import InputColumn
from modelwright.release.manifest import Equivalence, FormFigures, Manifest
from modelwright.spec.contract import Contract
from modelwright.spec.gate import Verdict
from modelwright.spec.label import LabelSpec

CONTRACT = Contract(name="Payment", fields=(), description="A card payment.")
MANIFEST = Manifest(
    system="fraud",
    kind="model",
    runtime="onnx",
    label=LabelSpec(name="is_fraud", kind="bool", delay_us=1),
    metric="accuracy",
    inputs=(InputColumn(name="amount", kind="number"), InputColumn(name="country", kind="text", vocabulary=("DE",))),
    model="LGBMClassifier()",
    trained_until_us=86_400_000_000,
    rows=12_345,
    metrics={"accuracy": 0.91234, "roc_auc": None},
    equivalence=Equivalence(rows=2_000, flips=0, largest=2e-16, accepted=True),
    data_version="sha256:abc",
)


def test_the_card_has_material_quality_gates_and_form():
    verdicts = [Verdict(name="accuracy >= 0.9", passed=True, value=0.91234, threshold=0.9)]
    text = card(MANIFEST, CONTRACT, verdicts, 0.75)
    assert text.startswith("# fraud: LGBMClassifier()\n")
    for expected in (
        "Predicts **is_fraud** (bool) for one Payment: A card payment.",
        "- 12,345 rows from 1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z",
        "- data version sha256:abc",
        "- 2 inputs: amount, country",
        "| accuracy | 0.9123 |",
        "| roc_auc | not defined |",
        "The baseline's accuracy on the same rows is 0.7500.",
        "| accuracy >= 0.9 | yes | 0.9123 | 0.9000 |",
        "Served as `onnx`.",
        "0 changed answers",
    ):
        assert expected in text


def test_a_refused_form_says_why_and_a_baseline_is_called_one():
    same = Equivalence(
        rows=10, flips=3, largest=0.2, accepted=False, reason="3 of 10 held-back rows change their answer"
    )
    tried = (FormFigures(name="onnx float32", size=1_234, equivalence=same),)
    refused = msgspec.structs.replace(MANIFEST, runtime="native", equivalence=same, forms=tried)
    text = card(refused, CONTRACT, [], None)
    assert "the estimator itself is served" in text
    assert (
        "| onnx float32 | 3 of 10 | 2.0e-01 | 0.0e+00 | 1,234 |  | 3 of 10 held-back rows change their answer |" in text
    )
    assert "baseline" not in text
    plain = card(msgspec.structs.replace(MANIFEST, kind="baseline", equivalence=None, inputs=()), CONTRACT, [], None)
    assert plain.startswith("# fraud: baseline\n")
    assert "- 0 inputs: none" in plain
