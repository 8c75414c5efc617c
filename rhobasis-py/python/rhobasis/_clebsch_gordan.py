"""Clebsch-Gordan coefficients."""

from __future__ import annotations

import numpy as np

from . import _native


def clebsch_gordan(l1: int, l2: int, lam: int) -> np.ndarray:
    """Real, orthonormal Clebsch-Gordan coefficients ⟨l1 m1; l2 m2|λμ⟩: [m1, m2, μ], each from −l to l.

    They couple what turns like real harmonics, and keep the norm: Σ_λμ |(A ⊗ B)_λμ|² = |A|² |B|². Zeros if the triangle
    is not closed. For l1, l2 up to 12.

    >>> np.round(clebsch_gordan(1, 1, 2)[:, :, 2], 6) + 0.0
    array([[-0.408248,  0.      ,  0.      ],
           [ 0.      ,  0.816497,  0.      ],
           [ 0.      ,  0.      , -0.408248]])
    """
    dense = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * lam + 1))
    for m1, m2, mu, value in _native.clebsch_gordan(l1, l2, lam):
        dense[m1, m2, mu] = value
    return dense
