"""The tree as arrays: against scikit-learn's own answers, and against damaged files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from neardup.batch.teach import DEPTH, fit_tree
from neardup.models.artifact import load_artifact, save_artifact
from neardup.models.comparison import FEATURES
from neardup.models.teacher import BUNDLED, FEWEST_KEYPOINTS, TREE, Teacher
from neardup.schemas.errors import ArtifactError

ROOT = Path(__file__).parents[2]


def sample(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, len(FEATURES))).round(2)
    same = features[:, 0] + features[:, 8] + 0.5 * rng.normal(size=n) > 0
    same[:2] = True, False
    return features, same


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(40, 400))
def test_the_arrays_answer_as_scikit_learn_does(seed: int, n: int) -> None:
    """A tree without our limits on it, grown deep, carried over by hand."""
    features, same = sample(seed, n)
    fitted = DecisionTreeClassifier(max_depth=9, random_state=0).fit(features, same)
    tree = fitted.tree_
    parts = {
        "feature": np.maximum(tree.feature, -1),
        "limit": tree.threshold,
        "left": tree.children_left,
        "right": tree.children_right,
        "share": tree.value[:, 0, 1],
    }
    teacher = Teacher.from_arrays({name: parts[name].astype(TREE[name]) for name in TREE})
    others, _ = sample(seed + 1, 200)
    for rows in (features, others):
        assert (teacher.probability(rows) == fitted.predict_proba(rows)[:, 1]).all()


def test_a_fitted_tree_is_no_deeper_than_it_should_be() -> None:
    features, same = sample(1, 3000)
    teacher = fit_tree(features, same)
    assert len(teacher.tree["feature"]) <= 2 ** (DEPTH + 1) - 1
    assert ((teacher.probability(features) >= 0.5) == same).mean() > 0.75


def test_more_inliers_never_make_a_pair_less_alike() -> None:
    features, same = sample(2, 3000)
    teacher = fit_tree(features, same)
    more = features.copy()
    more[:, FEATURES.index("inliers")] += 1
    assert (teacher.probability(more) >= teacher.probability(features)).all()


@pytest.mark.parametrize("which", [True, False])
def test_pairs_of_one_kind_teach_nothing(which: bool) -> None:
    with pytest.raises(ArtifactError, match="nothing to tell apart"):
        fit_tree(np.zeros((20, len(FEATURES))), np.full(20, which))


def test_the_bundled_teacher_loads_and_tells_clear_cases() -> None:
    teacher = Teacher.load()
    assert teacher.version == load_artifact(BUNDLED, "teacher").card["version"]
    clear = {
        "same": [120, 0.98, 0.1, 1.0, 0.5, 1.0, 0.6, 0.98, 0.97, 300],
        "other": [4, 0.2, 0.5, 1.6, 3.5, 0.3, 0.02, 0.1, 0.0, 300],
        "unsure": [0, 0, 0, 1, 4.8, 0, 0, 0, 0, FEWEST_KEYPOINTS - 1],
    }
    assert teacher.verdicts(np.array(list(clear.values()), np.float64)) == list(clear)
    assert teacher.verdicts(np.zeros((0, len(FEATURES)))) == []


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    teacher = Teacher.load()
    teacher.save(tmp_path / "t.npz", {"seed": 1})
    again = Teacher.load(tmp_path / "t.npz")
    assert again.version == teacher.version
    for name in TREE:
        assert (again.tree[name] == teacher.tree[name]).all()


def test_a_damaged_or_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    tree, card = Teacher.load().tree, {"features": list(FEATURES)}
    save_artifact(path, "teacher", {**tree, "left": tree["left"] * 0}, card)
    with pytest.raises(ArtifactError, match="leads to no later node"):
        Teacher.load(path)
    save_artifact(path, "teacher", tree, {"features": ["inliers"]})
    with pytest.raises(ArtifactError, match="train it again"):
        Teacher.load(path)
    save_artifact(path, "teacher", {"feature": tree["feature"]}, card)
    with pytest.raises(ArtifactError, match="lacks a part"):
        Teacher.load(path)
    Teacher.load().save(path, {})
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="damaged"):
        Teacher.load(path)
