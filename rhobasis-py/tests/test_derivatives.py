"""Tangents and Jacobians through Python."""

import pathlib
import time

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule
from bases import BASES, VARIABLES, contracted, motion, primitive

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(params=BASES)
def basis(request, molecules, crystals):
    return BASES[request.param]().fit([*molecules, *crystals])


def moved(frames, velocities, strains, t):
    """The frames after time t, positions strained before they move on."""
    result = []
    for atoms, velocity, strain in zip(frames, velocities, strains, strict=True):
        deformation = np.eye(3) + t * strain
        atoms = atoms.copy()
        atoms.set_cell(atoms.cell.array @ deformation)
        atoms.positions = atoms.positions @ deformation + t * velocity
        result.append(atoms)
    return result


def quotient(basis, at):
    """d c/dt by Richardson's rule."""

    def difference(h):
        pairs = zip(basis.transform(at(h)).blocks, basis.transform(at(-h)).blocks, strict=True)
        return [(a - b) / (2 * h) for a, b in pairs]

    return [(4 * a - b) / 3 for a, b in zip(difference(2e-4), difference(4e-4), strict=True)]


def assert_close(found, expected, tolerance):
    largest = max(np.abs(block).max(initial=0) for block in expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max(initial=0) < tolerance * largest


def test_tangents_are_difference_quotients(basis, molecules, crystals):
    frames = [*molecules[:3], *crystals]
    crystals[0].positions += 0.05 * motion(crystals)[0][0]
    velocities, strains = motion(frames)
    for v, s in [(1, 0), (0, 1), (1, 1)]:
        v, s = [v * velocity for velocity in velocities], s * strains
        tangent = basis.tangent(frames, v, s)
        expected = quotient(basis, lambda t, v=v, s=s: moved(frames, v, s, t))
        assert_close(tangent.blocks, expected, 1e-7)
    values = basis.transform(frames)
    np.testing.assert_array_equal(tangent.centers, values.centers)
    for a, b in zip(tangent.channels, values.channels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_velocities_may_come_as_one_array_or_one_for_each_frame(molecules):
    frames = [*molecules[:2], Atoms(), molecules[2]]
    velocities, strains = motion(frames)
    expected = primitive().tangent(frames, velocities, strains)
    listed = [v.tolist() for v in velocities]
    listed[2] = np.zeros((0, 3))
    flat = np.concatenate(velocities)
    for same in (tuple(velocities), listed, flat, flat.tolist(), np.asfortranarray(flat), np.repeat(flat, 2, 0)[::2]):
        tangent = primitive().tangent(frames, same, strains.tolist())
        np.testing.assert_array_equal(tangent.to_matrix(), expected.to_matrix())
    (water,) = molecules[:1]
    one = primitive().tangent(water, velocities[0], strains[0])
    np.testing.assert_array_equal(
        one.to_matrix(), primitive().tangent([water], velocities[:1], strains[:1]).to_matrix()
    )
    stacked = primitive().tangent([water, water], np.stack([velocities[0]] * 2))
    assert stacked.blocks[0].shape[0] == 6


def test_motions_of_the_wrong_shape_are_refused_with_what_was_expected(molecules):
    frames = molecules[:2]  # 3 and 5 atoms
    velocities, strains = motion(frames)
    for wrong, words in [
        (velocities[::-1], r"velocities\[0\] = \(5, 3\): frame 0 has 3 atoms; give x, y, z for each atom"),
        ([velocities[0], velocities[1][:, :2]], r"velocities\[1\] = \(5, 2\): frame 1 has 5 atoms"),
        ([[[0, 0, 0], [0, 0]], velocities[1]], r"velocities\[0\] = ragged: frame 0 has 3 atoms"),
        (velocities[:1], r"velocities = 1 arrays: there are 2 frames; give an array for each"),
        (velocities[1], r"velocities = \[5, 3\]: the frames have 8 atoms; give x, y, z for each atom"),
        (np.zeros(24), "velocities"),
        ([], r"velocities = \[0, 3\]: the frames have 8 atoms"),
        ("fast", "velocities"),
        (None, "velocities"),
    ]:
        with pytest.raises((rb.RhobasisError, TypeError), match=words):
            primitive().tangent(frames, wrong, strains)
    for wrong, words in [
        (strains[0], r"strain = \[1, 3, 3\]: one matrix for each frame is needed .frames: 2."),
        (strains[:, :2], r"strain = \[2, 2, 3\]"),
        (np.zeros(9), "strain"),
        ("none", "strain"),
        ([[[1, 2], [3]], 4], "strain"),
    ]:
        with pytest.raises((rb.RhobasisError, TypeError), match=words):
            primitive().tangent(frames, velocities, wrong)


def test_jacobians_are_difference_quotients(basis, crystals):
    slab, crystal = crystals[3], crystals[1]
    crystal.positions += 0.05 * motion([crystal])[0][0]
    for atoms, variables in [(slab, VARIABLES[:1]), (crystal, VARIABLES)]:
        rest, at_rest = np.zeros((len(atoms), 3)), np.zeros((3, 3))
        for by in variables:
            jacobian = basis.jacobian(atoms, by)
            n = len(atoms) if by == "positions" else 3
            for p, q in np.ndindex(n, 3):
                unit = np.zeros((n, 3))
                unit[p, q] = 1
                if by == "positions":
                    chosen = jacobian.rows["atom"] == p
                    found = [np.zeros((len(atoms), *block.shape[2:])) for block in jacobian.blocks]
                    for to, block in zip(found, jacobian.blocks, strict=True):
                        to[jacobian.rows["center"][chosen]] = block[chosen, q]
                else:
                    found = [block[:, p, q] for block in jacobian.blocks]
                    assert jacobian.rows["center"].tolist() == list(range(len(atoms)))
                    assert (jacobian.rows["atom"] == -1).all()

                def at(t, by=by, unit=unit, atoms=atoms, rest=rest, at_rest=at_rest):
                    if by == "cell":
                        after = atoms.copy()
                        after.set_cell(atoms.cell.array + t * unit)
                        return [after]
                    v, s = (unit, at_rest) if by == "positions" else (rest, unit)
                    return moved([atoms], [v], [s], t)

                assert_close(found, quotient(basis, at), 1e-7)


@pytest.mark.parametrize("by", VARIABLES)
def test_the_parts_are_the_jacobian_whatever_their_size(basis, molecules, crystals, by):
    frames = [*crystals[:2], Atoms(), *molecules]
    whole = basis.jacobian(frames, by)
    bytes_per_row = sum(block.nbytes for block in whole.blocks) / len(whole)
    for memory in (1, 3 * bytes_per_row, np.float32(1e5), 2_000_000, np.int64(16e6), float("inf")):
        parts = list(basis.jacobian_parts(frames, by, memory=memory))
        np.testing.assert_array_equal(np.concatenate([part.rows for part in parts]), whole.rows)
        for l, block in enumerate(whole.blocks):
            np.testing.assert_array_equal(np.concatenate([part.blocks[l] for part in parts]), block)
            np.testing.assert_array_equal(parts[0].channels[l], whole.channels[l])
        for part in parts:
            one_center = len({tuple(row)[:2] for row in part.rows.tolist()}) == 1
            assert one_center or len(part) * bytes_per_row <= memory


def test_no_frames_and_frames_without_atoms_have_jacobians_without_rows(basis):
    for by in VARIABLES:
        for frames in ([], [Atoms()], [Atoms(), Atoms()]):
            jacobian = basis.jacobian(frames, by)
            axes = (3,) if by == "positions" else (3, 3)
            expected = [(0, *axes, 2 * l + 1, len(channels)) for l, channels in enumerate(jacobian.channels)]
            assert [block.shape for block in jacobian.blocks] == expected
            assert (len(jacobian), jacobian.rows.dtype.names) == (0, ("structure", "center", "atom"))
            assert sum(len(part) for part in basis.jacobian_parts(frames, by)) == 0
        assert len(basis.tangent([], [])) == 0
    assert len(basis.tangent([], np.zeros((0, 3)), np.zeros((0, 3, 3)))) == 0


def test_what_no_jacobian_is_taken_by_is_refused_at_once(molecules):
    for function in (primitive().jacobian, primitive().jacobian_parts):
        with pytest.raises(rb.RhobasisError, match=r"by = 'volume': no such derivative; name one of 'positions', 's"):
            function(molecules, "volume")
        with pytest.raises(TypeError, match="by"):
            function(molecules, None)
    for memory in (0, -1e6, float("nan"), "16 MB", None, [1]):
        with pytest.raises(rb.RhobasisError, match=r"memory = .*: a number of bytes is needed; 4e6 is the default"):
            primitive().jacobian_parts(molecules, memory=memory)
    unknown = primitive(species=["H", "C"])
    for derive in (unknown.jacobian, lambda frames: list(unknown.jacobian_parts(frames))):
        with pytest.raises(rb.RhobasisError, match=r"frame 1.*O is not among the species"):
            derive([molecule("CH4"), molecule("H2O")])


def test_the_pieces_of_code_on_the_page_run(molecules, crystals, capsys):
    page = (ROOT / "docs" / "how-to" / "derivatives.md").read_text()
    code = [piece.split("```")[0] for piece in page.split("```python\n")[1:]]
    frames = [*molecules, crystals[1]]
    frames[-1].positions += 0.1
    contracted("combined").fit(frames).save("basis.rho")
    rb.write("data.xyz", frames)
    names: dict = {}
    for piece in code:
        exec(piece, names)
    shapes, slopes, row, difference, *strains = capsys.readouterr().out.splitlines()
    assert shapes == "(3, 3) (9, 3, 3)"
    assert float(slopes.split()[0]) == pytest.approx(float(slopes.split()[1]), rel=1e-12)
    assert row == "0 0 1 (3, 3, 3)"
    scale = max(np.abs(f).max() for f in names["forces"])
    assert float(difference) < 1e-12 * scale
    assert len(strains) == 4
    assert all(float(line.split()[1]) < 1e-12 * scale for line in strains)


# featomic, where it is installed.


@pytest.mark.parametrize("seed", range(4))
def test_featomic_finds_the_same_derivatives_of_random_structures(seed):
    featomic = pytest.importorskip("featomic")
    rng = np.random.default_rng(seed)
    n, sigma = int(rng.integers(1, 4)), 0.4
    cell = np.diag(rng.uniform(2.5, 3.5, 3)) + rng.normal(scale=0.5, size=(3, 3))
    fractional = rng.uniform(-1, 2, (n, 3)) * 0.2 + np.arange(n)[:, None] / n
    atoms = Atoms(rng.choice([1, 6, 14], n), fractional @ cell, cell=cell, pbc=True)
    calculator = featomic.SphericalExpansion(
        cutoff={"radius": 4.0, "smoothing": {"type": "ShiftedCosine", "width": 0.7}},
        density={
            "type": "Gaussian",
            "width": sigma,
            "scaling": {"type": "Willatt2018", "rate": 1, "scale": 2, "exponent": 3},
        },
        basis={
            "type": "TensorProduct",
            "max_angular": 4,
            "radial": {"type": "Gto", "max_radial": 4},
            "spline_accuracy": None,
        },
    )
    theirs = calculator.compute(atoms, gradients=VARIABLES)
    density = rb.Density(4.0, sigma, 0.7, rb.RadialScaling(rate=1, scale=2, exponent=3))
    expansion = rb.SphericalExpansion(density, rb.Gto(5), l_max=4, spline_accuracy=None)
    factor = (np.pi * sigma**2) ** 0.75 / (2 * np.pi * sigma**2) ** 1.5
    for by in VARIABLES:
        ours = expansion.jacobian(atoms, by)
        places = {(row["center"], row["atom"]): k for k, row in enumerate(ours.rows)}
        expected, seen = [np.zeros_like(block) for block in ours.blocks], set()
        for key, block in theirs.items():
            channels = ours.channels[key["o3_lambda"]][:, 0] == key["neighbor_type"]
            gradient = block.gradient(by)
            for k, sample in enumerate(gradient.samples["sample"]):
                atom = gradient.samples["atom"][k] if by == "positions" else -1
                place = int(block.samples["atom"][sample]), int(atom)
                seen.add(place)
                expected[key["o3_lambda"]][places[place]][..., channels] = factor * gradient.values[k]
        assert seen == set(places)
        assert_close(ours.blocks, expected, 1e-11)


def test_species_may_be_an_array_that_is_assigned_again():
    expansion = rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(4), l_max=1, species=[1, 8])
    water = molecule("H2O")
    expected = expansion.transform(water).blocks[1]
    for species in (np.array([1, 8]), np.array([1, 8])):
        expansion.species = species
        np.testing.assert_array_equal(expansion.transform(water).blocks[1], expected)
    expansion.species = np.array([1, 6, 8])
    assert expansion.transform(water).blocks[1].shape[2] == 12
    expansion.species = iter([1, 8])
    with pytest.raises(TypeError, match="species must be a list"):
        expansion.transform(water)


def test_complex_gradients_are_refused():
    expansion, water = rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(4), l_max=1), molecule("H2O")
    with pytest.raises(TypeError, match=r"gradient\[0\] must be .* real numbers"):
        expansion.backward(water, [1j * block for block in expansion.transform(water).blocks])


def test_parts_of_a_large_cell_cost_what_those_of_a_small_one_cost():
    # Once, buffers as large as the structure were made for every other centre.
    expansion = rb.SphericalExpansion(rb.Density(r_cut=3.0), rb.Gto(2), l_max=1)
    expansion.fit(bulk("Si")).transform(bulk("Si"))  # makes the tables
    seconds = []
    for n in (6, 18):
        silicon = bulk("Si", cubic=True).repeat(n)
        silicon.rattle(0.05, seed=1)
        start = time.process_time()
        sum(len(part) for part in expansion.jacobian_parts(silicon))
        seconds.append((time.process_time() - start) / len(silicon))
    assert seconds[1] < 4 * seconds[0]
