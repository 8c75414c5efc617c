"""What truncations retain of the ν-spectrum, and the planner."""

import numpy as np
import pytest
import rhobasis as rb

DENSITY = rb.Density(r_cut=4.0, sigma=0.4)


@pytest.fixture
def basis(molecules):
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=5), l_max=2, mixing="combined", center_specific=True).fit(molecules)


def test_eq20_retained_variance_is_that_of_the_coefficients(basis, molecules):
    c = basis.transform(molecules)

    def norms(q):
        return sum((block[:, :, :q] ** 2).sum(axis=(1, 2)) for block in c.blocks)

    found = rb.retained_variance(basis, molecules, q=[1, 3], nu=[1, 2, 4])
    expected = [[(norms(q) ** nu).sum() / (norms(None) ** nu).sum() for nu in (1, 2, 4)] for q in (1, 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_invariant_norm_of_two_densities_is_that_of_the_power_spectrum(molecules):
    expansion = rb.SphericalExpansion(DENSITY, rb.Gto(n_max=3), l_max=3).fit(molecules)
    c = expansion.transform(molecules)
    power = [np.einsum("imp,imq->ipq", block, block) / np.sqrt(2 * l + 1) for l, block in enumerate(c.blocks)]
    found = rb.spectrum_norms(expansion, molecules, nu=[2], invariant=True)
    np.testing.assert_allclose(found, [sum((p**2).sum() for p in power)], rtol=1e-12)


def test_a_plan_can_be_acted_on(basis, molecules):
    plan = rb.plan_truncation(basis, molecules, nu=3, retain=0.99, invariant=True)
    assert plan.exact
    assert plan.retained_ >= 0.99
    assert plan.table["invariant"][plan.chosen - 1, 2] < 0.99
    cut = rb.OptimalBasis(**{**basis.get_params(deep=False), "retain": plan.retain_}).fit(molecules)
    assert {z: {l: len(u) for l, u in us.items()} for z, us in cut.contraction_.items()} == plan.q
    assert f"{plan.channels} *" in str(plan)
    assert "3-spectrum" in repr(plan)


def test_without_frames_a_plan_is_approximate(basis):
    plan = rb.plan_truncation(basis, nu=2)
    assert not plan.exact
    assert "exact" not in plan.table
    assert "approximately" in repr(plan)
    with pytest.raises(rb.RhobasisError, match="invariants"):
        rb.plan_truncation(basis, invariant=True)


def test_a_plan_is_drawn(basis, molecules):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = rb.plan_truncation(basis, molecules, nu=2).plot()
    assert len(axes.lines) == 4  # ν = 1, 2, the dotted law at ν = 2, and the plan
