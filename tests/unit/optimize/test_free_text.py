"""Free text: terms are the vectorizer's own, weights are to the bit, and whole pipelines answer as their estimator does."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from xgboost import XGBClassifier

from modelwright.optimize.form import served_form
from modelwright.optimize.lowering.builder import Builder, Column, Unsupported
from modelwright.optimize.lowering.pipeline import lowered, preparation
from modelwright.optimize.lowering.preparation import transformed
from modelwright.release.compiled.program import Program
from modelwright.release.compiled.runtime import READ_BLOCK, CompiledRuntime
from modelwright.release.compiled.words import splitter
from modelwright.release.inputs import Coded, InputColumn, Rows, as_taken, data_frame
from modelwright.release.runtime import estimator_output

BODY = InputColumn(name="body", kind="text")
COLUMNS = (BODY, InputColumn(name="kind", kind="text", vocabulary=("a", "b")), InputColumn(name="size", kind="number"))
WORDS = [
    "The",
    "parcel",
    "never",
    "arrived",
    "Grüße",
    "refund",
    "of",
    "20.50",
    "naïve",
    "école",
    "don't",
    "x",
    "ok",
    "#7",
    "🙂",
    "Straße",
]
ODD = [
    None,
    "",
    " ",
    "x",
    "unheard of",
    "ÉCOLE école  e\u0301cole",
    "a\tb\n\nc",
    "ﬁne ½ ǅ İstanbul",
    "the " * 300,
    "\ud83d",
]
SETTINGS = [
    {},
    {"ngram_range": (1, 3), "stop_words": "english"},
    {"ngram_range": (2, 2), "lowercase": False},
    {"analyzer": "char", "ngram_range": (1, 4)},
    {"analyzer": "char", "ngram_range": (3, 3), "strip_accents": "ascii"},
    {"analyzer": "char_wb", "ngram_range": (2, 5)},
    {"strip_accents": "unicode", "token_pattern": r"\S+"},
    {"strip_accents": "ascii", "token_pattern": r"#(\d+)"},
]


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(2)
    body = [" ".join(random.choice(WORDS, random.integers(0, 12))) for _ in range(300)]
    return Rows(random.normal(size=(300, 1)), (body, random.choice(["a", "b"], 300).tolist()))


@pytest.fixture(scope="module")
def asked(rows):
    """The rows and odd ones."""
    texts = ([*rows.texts[0], *ODD[:-1]], [*rows.texts[1], *["a", None, "b"] * 3])
    return Rows(np.concatenate([rows.numbers, np.linspace(-3, 3, 9)[:, None]]), texts)


@pytest.fixture(scope="module")
def outcome(rows):
    score = np.array([text.count("parcel") - text.count("refund") + ("ok" in text) for text in rows.texts[0]])
    return {
        "bool": score + rows.numbers[:, 0] > 0,
        "str": np.digitize(score, [0, 1]).astype(str),
        "float": score + rows.numbers[:, 0],
    }


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from([*WORDS, *ODD[2:]]), max_size=12).map(" ".join)))
def test_terms_are_those_of_the_vectorizers_own_analyzer(settings, text):
    vectorizer = CountVectorizer(**settings)
    ours = splitter(
        vectorizer.analyzer, vectorizer.token_pattern, *vectorizer.ngram_range, vectorizer.get_stop_words() or (),
        vectorizer.strip_accents or "", lower=vectorizer.lowercase,
    )  # fmt: skip
    assert ours(text) == vectorizer.build_analyzer()(text)


def described(vectorizer):
    """As scikit-learn prints it, without the addresses of functions: every process names a test alike."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(vectorizer).split()))


VECTORIZERS = [
    CountVectorizer(),
    CountVectorizer(binary=True, ngram_range=(1, 2), min_df=2),
    TfidfVectorizer(),
    TfidfVectorizer(sublinear_tf=True, norm="l1", stop_words=["of"], max_features=12),
    TfidfVectorizer(use_idf=False, norm=None, analyzer="char_wb", ngram_range=(2, 3), strip_accents="unicode"),
    make_pipeline(CountVectorizer(ngram_range=(1, 2)), TfidfTransformer()),
    HashingVectorizer(n_features=64),
    HashingVectorizer(n_features=50, alternate_sign=False, norm="l1", analyzer="char", ngram_range=(1, 2)),
    HashingVectorizer(n_features=7, binary=True, norm=None),
    make_pipeline(
        HashingVectorizer(n_features=64, norm=None, alternate_sign=False), TfidfTransformer(sublinear_tf=True)
    ),
    make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=0)),
    make_pipeline(TfidfVectorizer(), SelectKBest(lambda x, y: np.arange(x.shape[1])[::-1] % 7.0, k=5), MaxAbsScaler()),
    make_union(TfidfVectorizer(), CountVectorizer(analyzer="char")),
]


@pytest.mark.parametrize("vectorizer", VECTORIZERS, ids=described)
def test_weights_are_the_vectorizers_own_to_the_bit(rows, asked, outcome, vectorizer):
    model = make_pipeline(vectorizer, LinearSVC()).fit(rows.texts[0], outcome["str"])
    wanted = vectorizer.transform(["" if text is None else text for text in asked.texts[0]])
    wanted = wanted.toarray() if sparse.issparse(wanted) else wanted
    program = preparation(model, (BODY,))
    for text in (asked.texts[0], Coded(np.arange(len(asked)), asked.texts[0])):
        given = CompiledRuntime(program.to_bytes(), (BODY,)).features(Rows(np.empty((len(asked), 0)), (text,)))
        assert given.shape == wanted.shape
        assert (given == wanted).all()
    assert len(np.unique(wanted)) > 1


def beside(vectorizer, *, sparse=True):
    """A preparation of all three columns."""
    parts = [(vectorizer, "body"), (OneHotEncoder(handle_unknown="ignore"), ["kind"]), (StandardScaler(), ["size"])]
    return make_column_transformer(*parts, sparse_threshold=1.0 if sparse else 0.0)


SVD = TruncatedSVD(4, random_state=0)
FOREST = {"n_estimators": 8, "random_state": 0, "max_depth": 6}
LGBM = {"n_estimators": 10, "num_leaves": 7, "min_child_samples": 5, "n_jobs": 1, "verbose": -1}
PIPELINES = [
    ("bool", beside(TfidfVectorizer(ngram_range=(1, 2))), LogisticRegression(), "compiled", 1e-15),
    ("str", beside(CountVectorizer()), LogisticRegression(), "compiled", 1e-14),
    ("str", beside(HashingVectorizer(n_features=2**13)), SGDClassifier(), "compiled", 0),
    ("float", beside(make_union(TfidfVectorizer(), CountVectorizer(analyzer="char"))), Ridge(), "compiled", 1e-13),
    ("bool", TfidfVectorizer(), LogisticRegression(), "compiled", 1e-15),
    ("str", CountVectorizer(), MultinomialNB(), "compiled", 1e-12),
    ("str", TfidfVectorizer(), ComplementNB(), "compiled", 1e-14),
    ("bool", beside(TfidfVectorizer()), LGBMClassifier(**LGBM), "compiled", 0),
    ("float", beside(HashingVectorizer(n_features=2**12)), LGBMRegressor(**LGBM), "compiled", 0),
    ("bool", beside(TfidfVectorizer()), XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1), "compiled", 0),
    ("str", beside(TfidfVectorizer()), RandomForestClassifier(**FOREST), "compiled", 1e-15),
    ("bool", beside(make_pipeline(TfidfVectorizer(), SVD), sparse=False), LGBMClassifier(**LGBM), "compiled", 0),
    ("bool", beside(TfidfVectorizer(), sparse=False), SVC(), "compiled + onnx float64", 1e-12),
    ("bool", beside(TfidfVectorizer(tokenizer=str.split, token_pattern=None)), LogisticRegression(), "native", 0),
]  # fmt: skip


def fitted(rows, outcome, preparation, model):
    pipeline = make_pipeline(preparation, model)
    columns = COLUMNS if hasattr(preparation, "transformers") else (BODY,)
    return pipeline.fit(as_taken(data_frame(only(rows, columns), columns), pipeline), outcome), columns


def only(rows, columns):
    return rows if len(columns) == 3 else Rows(np.empty((len(rows), 0)), rows.texts[:1])


@pytest.mark.filterwarnings("ignore")  # LightGBM's, of names that it is not given
@pytest.mark.parametrize(("kind", "prepare", "model", "form", "near"), PIPELINES, ids=lambda one: type(one).__name__)
def test_a_pipeline_answers_as_its_estimator_whatever_is_written(
    rows, asked, outcome, kind, prepare, model, form, near
):
    estimator, columns = fitted(rows, outcome[kind], prepare, model)
    classes = tuple(np.unique(outcome[kind]).tolist()) if kind != "float" else ()
    served = served_form(estimator, columns, classes, only(rows, columns), only(rows, columns))
    assert next(one.name for one in served.tried if one.equivalence.accepted) == form, served.tried
    said = estimator_output(estimator, data_frame(only(asked, columns), columns), classes)
    if form == "native":
        assert "tokenizer= of its own" in served.equivalence.reason
        return
    answers = CompiledRuntime(served.data, columns).run(only(asked, columns)).reshape(said.shape)
    np.testing.assert_allclose(answers, said, rtol=0, atol=near)
    assert len(np.unique(said.round(6))) > (2 if kind == "float" else 1)


def test_trees_are_given_what_they_look_at_and_linear_models_sums(rows, outcome):
    """And not the whole vocabulary of each row."""
    wide = HashingVectorizer(n_features=2**13)
    trees = lowered(*fitted(rows, outcome["bool"], beside(wide), LGBMClassifier(**LGBM)))
    assert 0 < len(trees.readers[0].kept) <= len(WORDS)
    linear = lowered(*fitted(rows, outcome["str"], beside(wide), LogisticRegression()))
    assert (linear.readers[0].given, linear.read) == (3, 3)
    assert len(linear.features) == 2 + 1 + 3


def test_many_rows_are_read_block_by_block(rows, outcome):
    estimator, columns = fitted(rows, outcome["bool"], beside(TfidfVectorizer()), LGBMClassifier(**LGBM))
    runtime = CompiledRuntime(lowered(estimator, columns).to_bytes(), columns)
    many = np.resize(np.arange(len(rows)), 2 * READ_BLOCK + 5)
    assert (runtime.run(rows.take(many)) == runtime.run(rows)[many]).all()


def test_programs_with_readers_are_equal_bytes_and_read_back(rows, outcome):
    union = make_union(TfidfVectorizer(), *[HashingVectorizer(n_features=2 + place) for place in range(11)])
    estimator, columns = fitted(rows, outcome["bool"], beside(union), LogisticRegression())
    data = lowered(estimator, columns).to_bytes()
    assert data == lowered(estimator, columns).to_bytes()
    program = Program.from_bytes(data)
    assert [reader.hashed for reader in program.readers] == [0, *range(2, 13)]
    assert program.to_bytes() == data


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (beside(TfidfVectorizer(dtype=np.float32)), "TfidfVectorizer in float32"),
        (beside(CountVectorizer(analyzer=list)), "CountVectorizer with analyzer= of its own"),
        (beside(FunctionTransformer(lambda texts: texts.str.len().to_frame())), "FunctionTransformer of free text"),
        (beside(make_pipeline(TfidfVectorizer(), TfidfTransformer())), "TfidfTransformer of anything but counts"),
        (beside(make_pipeline(make_union(CountVectorizer(), TfidfVectorizer()), TruncatedSVD(2))), "of one vectorizer"),
        (beside(make_pipeline(HashingVectorizer(n_features=5_000), MaxAbsScaler())), "MaxAbsScaler of 5000 columns"),
    ],
)  # fmt: skip
def test_what_has_no_exact_form_says_why(rows, outcome, prepare, reason):
    with pytest.raises(Unsupported, match=reason):
        lowered(*fitted(rows, outcome["bool"], prepare, LogisticRegression()))


def test_no_matrix_of_a_whole_vocabulary_is_made_for_a_graph(rows, outcome):
    estimator, columns = fitted(
        rows, outcome["bool"], beside(HashingVectorizer(n_features=5_000)), KNeighborsClassifier()
    )
    with pytest.raises(Unsupported, match="5000 terms of free text before KNeighborsClassifier"):
        preparation(estimator, columns)


def test_free_text_that_nobody_reads_is_no_feature():
    builder = Builder(0)
    assert transformed(builder, "drop", [Column(-1, "body", free=0)]) == []
