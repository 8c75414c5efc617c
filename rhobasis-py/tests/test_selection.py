"""Selection: scikit-learn's own checks, scikit-matter's choice, and arrays of all kinds."""

import pathlib
import pickle

import numpy as np
import pytest
import rhobasis as rb
from rhobasis.selection import CUR, FPS, SampleCUR, SampleFPS, cur, cur_gram, fps, fps_gram
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "reference/selection_metrics/golden.npz"


@pytest.mark.filterwarnings("ignore:.*were chosen")
@parametrize_with_checks([CUR(), FPS(), SampleCUR(), SampleFPS(), CUR(n_to_select=1, k=2, recompute_every=0)])
def test_scikit_learn_accepts_the_selectors(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN))


def test_the_choice_is_that_of_scikit_matter(golden):
    X = golden["X"]
    assert list(cur(X, 10)) == list(golden["cur_features"])
    assert list(cur(X, 10, recompute_every=0)) == list(golden["cur_features_one_shot"])
    assert list(cur(X, 10, axis="samples")) == list(golden["cur_samples"])
    assert list(fps(X, 10)) == list(golden["fps_features"])
    assert list(fps(X, 10, axis="samples")) == list(golden["fps_samples"])
    assert list(CUR(10).fit(X).selected_idx_) == list(golden["cur_features"])
    assert list(SampleFPS(10).fit(X).selected_idx_) == list(golden["fps_samples"])
    assert list(cur_gram(X.T @ X, 10)) == list(golden["cur_features"])
    assert list(fps_gram(X @ X.T, 10)) == list(golden["fps_samples"])


def test_strides_order_and_read_only_do_not_matter(golden):
    X = golden["X"]
    wide = np.zeros((200, 60))
    wide[::2, ::3] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(b"x" + X.tobytes(), dtype=np.uint8)[1:].view(X.dtype).reshape(X.shape)
    kinds = [
        np.asfortranarray(X),
        wide[::2, ::3],
        X[::-1, ::-1][::-1, ::-1],
        frozen,
        X.astype(">f8"),
        X.tolist(),
        unaligned,
    ]
    for other in kinds:
        assert np.array_equal(cur(other, 8), cur(X, 8))
        assert np.array_equal(fps(other, 8, axis="samples"), fps(X, 8, axis="samples"))
    single = X.astype(np.float32)
    assert np.array_equal(fps(single, 8), fps(single.astype(float), 8))
    assert CUR(3).fit_transform(single).dtype == np.float32


def test_scores_are_leverages_and_squared_distances(golden):
    X = golden["X"]
    indices, scores = cur(X, 5, return_scores=True)
    v = np.linalg.svd(X)[2][0]
    assert scores[0] == pytest.approx(v[indices[0]] ** 2, rel=1e-9)
    indices, scores = fps(X, 3, return_scores=True)
    a, b, c = X[:, indices].T
    assert scores[1] == pytest.approx(np.sum((a - b) ** 2))
    assert scores[2] == pytest.approx(min(np.sum((a - c) ** 2), np.sum((b - c) ** 2)))


def test_an_exhausted_rank_warns_and_chooses_fewer():
    X = np.outer(np.arange(1.0, 6), [1.0, 2.0, 3.0])
    with pytest.warns(UserWarning, match="1 of 3"):
        assert list(cur(X, 3)) == [2]
    with pytest.warns(UserWarning, match="1 of 2"):
        fps(np.ones((4, 3)), 2)


def test_refusals_say_what_is_wrong():
    X = np.eye(4)
    for call, words in [
        (lambda: cur(X, 5), "n = 5.*4 features"),
        (lambda: fps(X, 2, start=4), "start = 4"),
        (lambda: cur(X, 2, axis="rows"), "axis = rows"),
        (lambda: cur(X[0], 1), "Expected 2D array"),
        (lambda: cur(X * np.nan, 1), "NaN, in row 0"),
        (lambda: cur(X + 1j, 1), "Complex"),
        (lambda: cur_gram(X[:3], 1), "square"),
        (lambda: CUR(n_to_select=7).fit(X), "n_to_select = 7"),
        (lambda: CUR(n_to_select=1.5).fit(X), "n_to_select = 1.5"),
        (lambda: CUR().transform(X), "not fitted"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(rb.NotFittedError):
        CUR().get_support()


def test_selectors_live_in_pipelines(golden):
    X = golden["X"]
    pipeline = make_pipeline(StandardScaler(), CUR(n_to_select=0.25))
    assert pipeline.fit_transform(X).shape == (100, 5)
    assert list(pipeline.get_feature_names_out()) == [f"x{i}" for i in pipeline[-1].get_support(indices=True)]
    copy = clone(pipeline[-1]).set_params(k=2)
    assert copy.k == 2
    assert not hasattr(copy, "selected_idx_")
    restored = pickle.loads(pickle.dumps(pipeline[-1]))
    assert np.array_equal(restored.selected_idx_, pipeline[-1].selected_idx_)
