"""Tangents and Jacobians through Python, and the memory they live in."""

import concurrent.futures
import copy
import gc
import itertools
import os
import pathlib
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule

ROOT = pathlib.Path(__file__).parents[2]
VARIABLES = ["positions", "strain", "cell"]


def primitive(**options):
    return rb.SphericalExpansion(rb.Density(r_cut=3.7, sigma=0.4), rb.Gto(n_max=4), **{"l_max": 3, **options})


def contracted(mixing, center_specific=False):
    density, options = rb.Density(r_cut=3.7, sigma=0.4), {"mixing": mixing, "center_specific": center_specific}
    return rb.OptimalBasis(density, rb.Gto(n_max=6), l_max=3, q_max=3, **options)


BASES = {
    "primitive": primitive,
    "per species": lambda: contracted("per-species"),
    "combined": lambda: contracted("combined"),
    "center specific": lambda: contracted("per-species", center_specific=True),
}


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


def motion(frames, seed=3):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(atoms), 3)) for atoms in frames], rng.normal(size=(len(frames), 3, 3))


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


# Memory that goes round: results are large enough for it here, and computed anew while others are kept.


@pytest.fixture
def many(molecules):
    rng = np.random.default_rng(7)
    frames = [atoms.copy() for atoms in molecules * 6]
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
    return frames


def test_parts_that_are_kept_stay_as_they_are(many):
    expansion = primitive().fit(many)
    whole = expansion.jacobian(many)
    parts = expansion.jacobian_parts(many, memory=4e5)
    kept, views, first = [], [], 0
    for k, part in enumerate(parts):
        rows = slice(first, first + len(part))
        first = rows.stop
        assert max(block.nbytes for block in part.blocks) > 1 << 15
        # Whole parts, single blocks, views of blocks, views of views, nothing.
        if k % 5 == 0:
            kept.append((part.blocks, rows))
        elif k % 5 == 1:
            views.append((3, part.blocks[3][1:], slice(rows.start + 1, rows.stop)))
        elif k % 5 == 2:
            views.append((2, part.blocks[2], rows))
        elif k % 5 == 3:
            views.append((1, part.blocks[1][1:].reshape(len(part) - 1, -1)[:, :], slice(rows.start + 1, rows.stop)))
    del part, parts
    gc.collect()
    assert k > 10
    for _ in range(3):
        expansion.transform(many)
    for blocks, rows in kept:
        for block, expected in zip(blocks, whole.blocks, strict=True):
            np.testing.assert_array_equal(block, expected[rows])
    for l, view, rows in views:
        np.testing.assert_array_equal(view.ravel(), whole.blocks[l][rows].ravel())


def test_an_iterator_of_parts_can_be_dropped_half_way(many):
    expected = primitive().jacobian(many)
    parts = primitive().jacobian_parts(many, memory=1e6)
    three = list(itertools.islice(parts, 3))
    del parts
    others = list(primitive().jacobian_parts(many, memory=1e6))[3:]
    for l, block in enumerate(expected.blocks):
        np.testing.assert_array_equal(np.concatenate([part.blocks[l] for part in three + others]), block)


@pytest.mark.parametrize("order", ["first to last", "last to first", "at random"])
def test_results_dropped_in_any_order_leave_the_others_alone(many, order):
    expansion = primitive().fit(many)
    frames = [many[k : k + 24] for k in range(0, 24, 3)]
    expected = [[block.copy() for block in expansion.transform(f).blocks] for f in frames]
    results = {(k, l): b for k, f in enumerate(frames) for l, b in enumerate(expansion.transform(f).blocks)}
    keys, views = sorted(results), []
    if order == "last to first":
        keys.reverse()
    elif order == "at random":
        np.random.default_rng(1).shuffle(keys)
    for n, key in enumerate(map(tuple, keys)):
        del results[key]
        if n % 4 == 0:  # new ones, in the memory of what was dropped; views of some of them stay
            k = n // 4
            new = expansion.transform(frames[k]).blocks
            views += [(new[l][1:], expected[k][l][1:]) for l in (1, 3)]
            del new
        for (k, l), block in results.items():
            np.testing.assert_array_equal(block, expected[k][l])
        for view, same in views:
            np.testing.assert_array_equal(view, same)


def test_a_result_can_be_changed_without_effect_on_the_next(many):
    expansion = primitive().fit(many)
    first = expansion.transform(many)
    before = [block.copy() for block in first.blocks]
    for block in first.blocks:
        assert block.flags.writeable
        assert block.flags.aligned
        assert block.flags.c_contiguous
        block[...] = np.nan
    second = expansion.transform(many)
    assert all(np.isnan(block).all() for block in first.blocks)
    del first, block
    third = expansion.transform(many)  # in the memory of the first, full of NaN
    jacobian = expansion.jacobian(many[:4])
    for result in (second, third):
        for found, expected in zip(result.blocks, before, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert all(np.isfinite(block).all() for block in jacobian.blocks)


@pytest.mark.parametrize("name", BASES)
def test_nothing_of_an_earlier_result_shines_through(many, name):
    # Frames without some species leave channels empty: they must be cleared, not left as found.
    basis = BASES[name]().fit(many)
    poor = [molecule("H2") for _ in range(200)] + [Atoms("O")] * 50
    rest, _ = motion(poor)

    def all_of(poor):
        yield from basis.transform(poor).blocks
        yield from basis.tangent(poor, rest).blocks
        for by in VARIABLES:
            yield from basis.jacobian(poor, by).blocks

    expected = [block.copy() for block in all_of(poor)]
    for block in all_of(poor):
        block[...] = np.nan
        del block
    for found, clean in zip(all_of(poor), expected, strict=True):
        np.testing.assert_array_equal(found, clean)
        found[...] = np.nan
        del found


def test_arrays_can_be_pickled_copied_and_handed_on(many):
    jacobian = primitive().jacobian(many[:8])
    for block in jacobian.blocks:
        for same in (pickle.loads(pickle.dumps(block)), copy.deepcopy(block), np.asarray(memoryview(block))):
            np.testing.assert_array_equal(same, block)
    thawed = pickle.loads(pickle.dumps(jacobian))
    expected = [block.copy() for block in jacobian.blocks]
    memory = memoryview(jacobian.blocks[3])
    del jacobian, block, same
    primitive().jacobian(many[:8]).blocks[3][...] = 0
    np.testing.assert_array_equal(np.asarray(memory), expected[3])
    np.testing.assert_array_equal(thawed.blocks[3], expected[3])


def test_threads_that_share_a_basis_do_not_share_memory(many):
    expansion = primitive().fit(many)
    expected = expansion.jacobian(many)
    values = expansion.transform(many).to_matrix()

    def work(seed):
        rng = np.random.default_rng(seed)
        kept, first, worst = [], 0, 0.0
        for part in expansion.jacobian_parts(many, memory=float(rng.integers(4e5, 2e6))):
            rows = slice(first, first + len(part))
            first = rows.stop
            kept.append((part.blocks[3][1:], slice(rows.start + 1, rows.stop)))
            if rng.random() < 0.5:
                del kept[rng.integers(len(kept))]
            if rng.random() < 0.3:
                c = expansion.transform(many)
                worst = max(worst, np.abs(c.to_matrix() - values).max())
                c.blocks[3][...] = np.inf
        return max([worst, *(np.abs(b - expected.blocks[3][rows]).max(initial=0) for b, rows in kept)])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == [0.0] * 8


def in_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


SETUP = """
import numpy as np, rhobasis as rb
from ase.build import bulk, molecule
frames = [molecule("C2H6") for _ in range(60)]
expansion = rb.SphericalExpansion(rb.Density(r_cut=3.5, sigma=0.4), rb.Gto(n_max=4), l_max=3)
"""


def test_memory_of_dropped_results_holds_the_next():
    code = """
def pointers():
    return sorted(block.ctypes.data for block in expansion.transform(frames).blocks)
print(pointers() == pointers() == pointers())
seen = set()
for k, part in enumerate(expansion.jacobian_parts(frames, memory=4e5)):
    seen.add(part.blocks[3].ctypes.data)
    del part
print(k > 20, len(seen) <= 3)
"""
    assert in_python(SETUP + code) == ["True"] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_process_does_not_wait_for_the_threads_of_its_parent():
    code = """
import os, signal, sys
before = expansion.transform(frames)
basis = rb.OptimalBasis(expansion.density, rb.Gto(5), l_max=2, q_max=2).fit(frames)
kept = [block.copy() for block in before.blocks]
child = os.fork()
if child == 0:
    signal.alarm(20)
    after = expansion.transform(frames)
    again = rb.OptimalBasis(expansion.density, rb.Gto(5), l_max=2, q_max=2).fit(frames)
    same = [np.array_equal(a, b) for x in (before, after) for a, b in zip(x.blocks, kept)]
    same.append(np.array_equal(again.transform(frames).to_matrix(), basis.transform(frames).to_matrix()))
    for block in before.blocks:
        block[...] = 0
    grandchild = os.fork()
    if grandchild == 0:
        signal.alarm(20)
        expansion.jacobian(frames)
        os._exit(0)
    os._exit(os.waitpid(grandchild, 0)[1] + (not all(same)))
print(os.waitpid(child, 0)[1], all(np.array_equal(a, b) for a, b in zip(before.blocks, kept)))
"""
    assert in_python(SETUP + code) == ["0", "True"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited as Linux does it")
def test_a_result_without_room_is_a_memory_error_with_words():
    code = """
import resource
from ase import Atoms
n = np.arange(30)
grid = np.stack(np.meshgrid(n, n, n), -1).reshape(-1, 3)
atoms = Atoms(numbers=[1] * len(grid), positions=10.0 * grid)
expansion.set_params(species=list(range(1, 61))).transform(frames[:1])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**28, -1))
try:
    expansion.transform(atoms)
except MemoryError as error:
    print(error)
"""
    words = " ".join(in_python(SETUP + code))
    assert words.startswith("no memory for a block of 0.")
    assert words.endswith("give fewer frames at a time, or take a Jacobian in parts")


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
