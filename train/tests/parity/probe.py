"""Makes train/tests/parity/probe.json: what scikit-learn's LogisticRegression makes of features from a formula.

    python3 -m venv V && V/bin/pip install scikit-learn==1.9.1 && V/bin/python train/tests/parity/probe.py
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from reference import uniform
from sklearn.linear_model import LogisticRegression

# As in transfer.rs.
CLASSES, WIDTH, TRAIN, TEST = 7, 24, 350, 2000
STRENGTHS = [0.1, 1.0, 10.0, 100.0, 1000.0]


def features(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors: a direction a class under noise that hides it now and then."""
    labels = np.arange(count) % CLASSES
    centres = uniform("centres", np.arange(CLASSES * WIDTH)).reshape(CLASSES, WIDTH)
    noise = uniform(name, np.arange(count * WIDTH)).reshape(count, WIDTH)
    values = np.float32(0.45) * centres[labels] + noise
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32), labels


def main() -> None:
    train, test = features("train", TRAIN), features("test", TEST)
    cases = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(*(train[0].astype(np.float64), train[1]))
        log_proba = model.predict_log_proba(train[0])
        cases.append(
            {
                "strength": strength,
                "train_loss": -float(log_proba[np.arange(TRAIN), train[1]].mean()),
                "weight_norm": float(np.linalg.norm(model.coef_)),
                "test_acc1": 100 * float((model.predict(test[0]) == test[1]).mean()),
            }
        )
    out = {"scikit_learn": sklearn.__version__, "cases": cases}
    Path(__file__).with_name("probe.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
