"""Make molecules.xyz.xz and molecules_rattled.xyz.xz: small molecules of H C N O F labelled with GFN2-xTB.

    python make_molecules.py            writes both files beside this one (half an hour on one core)
    python make_molecules.py --rattled  writes the second one, starting from the first as it is
    python make_molecules.py --electric adds dipole and polarizability to both as they are (two minutes)
    python make_molecules.py --check    checks them: labels, differences, bonds, repetitions

Needs numpy, ase, tblite and rdkit (README.md names the versions). The molecules are enumerated by valence rules, one
geometry each; GFN2-xTB is C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

import argparse
import io
import lzma
import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.data import atomic_numbers, covalent_radii
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.ase import TBLite
from tblite.interface import Calculator
from tblite.library import ffi

import frames as extxyz

RELAXED = Path(__file__).with_name("molecules.xyz.xz")
RATTLED = Path(__file__).with_name("molecules_rattled.xyz.xz")
SEED = 20211019
N_RELAXED, N_RATTLED = 2000, 500
MAX_HEAVY = 7
MAX_FORCE = 0.005  # eV/Å, after relaxation
MAX_RATTLED_FORCE = 15.0  # eV/Å
DECIMALS = 6  # of positions and forces
DIPOLE_DECIMALS, POLARIZABILITY_DECIMALS = 5, 4  # what the finite field gives
FIELD = 5e-4  # Hartree/(e Bohr), of the difference quotients of polarisabilities
BOND = 1.3  # atoms nearer than this times the sum of their covalent radii are bonded

VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1}
UNWANTED = {  # never grown further
    "peroxides and chains of heteroatoms": "[#8]~[#8]",
    "three heteroatoms in a row": "[#7,#8]~[#7,#8]~[#7,#8]",
    "fluorine on a heteroatom": "[F]~[!#6;!#1]",
    "cumulenes beyond allene": "*=*=*=*",
    "cumulated double bonds in a ring": "[R]=[R]=[R]",
    "triple bonds in a ring": "[R]#[R]",
    "double bonds inside rings of three or four": "[r3,r4]=,:[r3,r4]",
    "double bonds on epoxides and aziridines": "[#7,#8;r3][r3]=*",
    "heteroatoms on a carbon-carbon triple bond": "C#C[N,O,F]",
    "nitroso groups": "[NX2]=O",
    "carbons that would lose water, ammonia or HF": "[NX3,OX2H]-[CX4]-[N,O,F]",
}
UNSTABLE = {  # grown further, for aromatic rings come of them, but not kept
    "hydrazines, azo groups": "[N]~[#7]",
    "hydroxylamines, but not oximes": "[NX3]-[OX2]",
    "enols": "[OX2H]-[C]=,#[C,N]",
    "enamines": "[NX3;!H0]-[C]=[C]",
    "double bonds at a bridge": "[R2]=[R]",
}
UNWANTED, UNSTABLE = ([Chem.MolFromSmarts(s) for s in parts.values()] for parts in (UNWANTED, UNSTABLE))


def free_valence(atom):
    return VALENCE[atom.GetSymbol()] - round(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds()))


def editable(smiles):
    """The molecule with alternating single and double bonds in place of aromatic ones, hydrogens implied."""
    molecule = Chem.RWMol(Chem.MolFromSmiles(smiles))
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    for atom in molecule.GetAtoms():
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
    return molecule


def accepted(molecule):
    """The canonical SMILES if the molecule has none of the unwanted parts, else None."""
    molecule.UpdatePropertyCache(strict=False)
    if Chem.SanitizeMol(molecule, catchErrors=True):
        return None
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    if len(symbols) - symbols.count("C") > 3 or any(molecule.HasSubstructMatch(part) for part in UNWANTED):
        return None
    rings = molecule.GetRingInfo().AtomRings()
    if len(rings) > 2 or any(len(ring) > 6 for ring in rings):
        return None
    if len(rings) == 2 and len(set(rings[0]) & set(rings[1])) > 1 and sum(map(len, rings)) < 8:
        return None  # two small rings that share a bond
    return Chem.MolToSmiles(molecule)


ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


def attachments(smiles):
    """All molecules with one more heavy atom, bound to one atom with order one, two or three."""
    parent = editable(smiles)
    for atom in parent.GetAtoms():
        for symbol, valence in VALENCE.items():
            for order in range(1, min(free_valence(atom), valence, 3) + 1):
                child = Chem.RWMol(parent)
                child.AddBond(atom.GetIdx(), child.AddAtom(Chem.Atom(symbol)), ORDERS[order])
                yield accepted(child)


def closures(smiles):
    """All molecules with one more ring, of three to six atoms, closed by a single or double bond."""
    parent = editable(smiles)
    distance = Chem.GetDistanceMatrix(parent)
    for a in parent.GetAtoms():
        for b in parent.GetAtoms():
            i, j = a.GetIdx(), b.GetIdx()
            if i < j and 2 <= distance[i, j] <= 5:
                for order in range(1, min(free_valence(a), free_valence(b), 2) + 1):
                    child = Chem.RWMol(parent)
                    child.AddBond(i, j, ORDERS[order])
                    yield accepted(child)


def enumerate_smiles(rng, largest_generation=1200):
    """SMILES by number of heavy atoms; generations above `largest_generation` are thinned at random."""
    generation = sorted(VALENCE)
    for heavy in range(1, MAX_HEAVY + 1):
        everything, newest = set(generation), set(generation)
        while newest:
            newest = {child for s in sorted(newest) for child in closures(s) if child} - everything
            everything |= newest
        generation = sorted(everything)
        kept = [s for s in generation if not any(Chem.MolFromSmiles(s).HasSubstructMatch(p) for p in UNSTABLE)]
        print(f"{heavy} heavy atoms: {len(generation)} molecules, {len(kept)} of them kept", flush=True)
        yield kept
        if heavy < MAX_HEAVY:
            if len(generation) > largest_generation:
                generation = sorted(rng.choice(generation, largest_generation, replace=False).tolist())
            generation = sorted({child for s in generation for child in attachments(s) if child})


def kind(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    if any(atom.GetIsAromatic() for atom in molecule.GetAtoms()):
        return "aromatic"
    return ("acyclic", "ring", "bicycle")[molecule.GetRingInfo().NumRings()]


def varied(rng, smiles):
    """The molecules in an order that visits all kinds (rings, multiple bonds, elements) in turn."""
    classes = {}
    for s in rng.permutation(smiles).tolist():
        molecule = Chem.MolFromSmiles(s)
        multiple = sum(bond.GetBondTypeAsDouble() > 1 for bond in molecule.GetBonds())
        elements = "".join(sorted({atom.GetSymbol() for atom in molecule.GetAtoms()}))
        classes.setdefault((kind(s), min(multiple, 3), elements), []).append(s)
    while classes:
        for key in sorted(classes):
            yield classes[key].pop()
            if not classes[key]:
                del classes[key]


def graph(smiles):
    """Symbols and sorted bonds of the molecule with its hydrogens."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    bonds = sorted(tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in molecule.GetBonds())
    return molecule, [atom.GetSymbol() for atom in molecule.GetAtoms()], bonds


def bonds_of(atoms):
    radii = covalent_radii[atoms.numbers]
    near = atoms.get_all_distances() < BOND * (radii[:, None] + radii[None, :])
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True)]


def xtb(accuracy=0.01):
    return TBLite(method="GFN2-xTB", accuracy=accuracy, verbosity=0)


def relaxed(smiles):
    """The molecule at a minimum of GFN2-xTB that has the bonds of `smiles`, or None."""
    molecule, symbols, bonds = graph(smiles)
    if AllChem.EmbedMolecule(molecule, randomSeed=SEED) != 0:
        return None
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        AllChem.MMFFOptimizeMolecule(molecule, maxIters=500)
    else:
        AllChem.UFFOptimizeMolecule(molecule, maxIters=500)
    atoms = Atoms(symbols, molecule.GetConformer().GetPositions(), calculator=xtb(accuracy=1.0))
    try:
        if not BFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.8 * MAX_FORCE, steps=400):
            return None
    except CalculationFailed:
        return None
    return atoms if bonds_of(atoms) == bonds else None


def dipole_in(symbols, positions, field, accuracy=0.001):
    """Dipole in e Bohr in a uniform electric field in atomic units."""
    numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
    calculator = Calculator("GFN2-xTB", numbers, positions / units.Bohr)
    calculator.set("accuracy", accuracy)
    calculator.set("verbosity", 0)
    if np.any(field):
        calculator.add("electric-field", ffi.new("double[3]", [float(x) for x in field]))
    return calculator.singlepoint().get("dipole")


def electric(symbols, positions):
    """Dipole in eÅ, and polarisability dμ/dE in Å³ by central differences."""
    dipole = dipole_in(symbols, positions, np.zeros(3)) * units.Bohr
    fields = FIELD * np.eye(3)
    columns = [dipole_in(symbols, positions, e) - dipole_in(symbols, positions, -e) for e in fields]
    tensor = np.array(columns) / (2 * FIELD) * units.Bohr**3
    return {
        "dipole": np.round(dipole, DIPOLE_DECIMALS),
        "polarizability": np.round((tensor + tensor.T) / 2, POLARIZABILITY_DECIMALS),
    }


def labelled(atoms, info):
    """One frame of a file. The positions are rounded first, so that the labels belong to the numbers stored."""
    atoms = Atoms(atoms.symbols, np.round(atoms.positions - atoms.get_center_of_mass(), DECIMALS), calculator=xtb())
    positions, forces = atoms.positions, atoms.get_forces()
    info = {"energy": atoms.get_potential_energy()} | info | electric(list(atoms.symbols), positions)
    pbc = [False] * 3
    return {"symbols": list(atoms.symbols), "positions": positions, "forces": forces, "pbc": pbc, "info": info}


def fingerprint(frame):
    """Sorted distances between the atoms with the elements: equal for equal molecules, mirror images included."""
    x = frame["positions"]
    n = [int("HCNOF".index(s)) for s in frame["symbols"]]
    i, j = np.triu_indices(len(n), 1)
    pairs = sorted((tuple(sorted((n[a], n[b]))), round(float(np.linalg.norm(x[a] - x[b])), 3)) for a, b in zip(i, j))
    return tuple(sorted(n)), np.array([r for _, r in pairs])


def same(one, other, tolerance=0.02):
    return one[0] == other[0] and np.abs(one[1] - other[1]).max() < tolerance


def make_relaxed(rng):
    """All molecules of up to five heavy atoms, then six and seven in equal parts, visiting all kinds in turn."""
    by_size = list(enumerate_smiles(rng))
    small = [s for smiles in by_size[:5] for s in smiles]
    large = [varied(rng, smiles) for smiles in by_size[5:]]
    result, seen, failed, count = [], {}, 0, 0
    while len(result) < N_RELAXED:
        smiles = small.pop(0) if small else next(large[count % len(large)])
        count += 1
        atoms = relaxed(smiles)
        if atoms is None:
            failed += 1
            continue
        # ASE would read the bare SMILES of hydrogen fluoride, F, as false.
        frame = labelled(atoms, {"smiles": "[H]F" if smiles == "F" else smiles, "config_type": kind(smiles)})
        mark = fingerprint(frame)
        known = seen.setdefault(mark[0], [])
        if np.abs(frame["forces"]).max() >= MAX_FORCE or any(same(mark, other) for other in known):
            failed += 1
            continue
        known.append(mark)
        result.append(frame)
        if len(result) % 100 == 0:
            print(f"{len(result)} relaxed, {failed} given up", flush=True)
    result.sort(key=lambda frame: sum(s != "H" for s in frame["symbols"]))
    return result


def make_rattled(rng, frames):
    """500 of the molecules: by turns after 0.1 ps of dynamics at 500 and 1000 K and displaced at random.

    A frame whose bonds have changed, or with a force above MAX_RATTLED_FORCE, is replaced by another molecule's.
    """
    result = []
    large = [k for k, frame in enumerate(frames) if len(frame["symbols"]) >= 4]
    for parent in rng.permutation(large):
        frame = frames[parent]
        atoms = Atoms(frame["symbols"], frame["positions"], calculator=xtb(accuracy=1.0))
        bonds = bonds_of(atoms)
        name = ("md_500K", "md_1000K", "displaced_0.03A", "displaced_0.06A")[len(result) % 4]
        if name.startswith("md"):
            temperature = float(name[3:-1])
            # Half of the kinetic energy goes into the bonds of a molecule that starts at its minimum: start twice as hot.
            atoms.set_velocities(
                rng.normal(size=(len(atoms), 3)) * np.sqrt(2 * units.kB * temperature / atoms.get_masses())[:, None]
            )
            langevin = {"temperature_K": temperature, "friction": 0.02 / units.fs, "fixcm": False, "rng": rng}
            Langevin(atoms, 0.5 * units.fs, **langevin).run(200)
        else:
            atoms.positions += rng.normal(0, float(name[10:-1]), (len(atoms), 3))
        if bonds_of(atoms) != bonds:
            continue
        info = {"smiles": frame["info"]["smiles"], "config_type": name, "parent": int(parent)}
        frame = labelled(atoms, info)
        if np.abs(frame["forces"]).max() > MAX_RATTLED_FORCE:
            continue
        result.append(frame)
        if len(result) % 100 == 0:
            print(f"{len(result)} rattled", flush=True)
        if len(result) == N_RATTLED:
            return result
    raise ValueError(f"only {len(result)} of {N_RATTLED} rattled molecules: make N_RELAXED larger")


def add_electric():
    """Adds dipoles and polarisabilities to both files, whose other numbers stay as they are."""
    for path in (RELAXED, RATTLED):
        frames = extxyz.read(path)
        for frame in frames:
            frame["info"] |= electric(frame["symbols"], frame["positions"])
        extxyz.write(path, frames, DECIMALS)


def make(only_rattled=False):
    RDLogger.DisableLog("rdApp.*")
    if not only_rattled:
        extxyz.write(RELAXED, make_relaxed(np.random.default_rng([SEED, 0])), DECIMALS)
    extxyz.write(RATTLED, make_rattled(np.random.default_rng([SEED, 1]), extxyz.read(RELAXED)), DECIMALS)


def check():
    """Both files: labels, differences for every twentieth frame, bonds, largest forces, repetitions."""
    rng = np.random.default_rng(SEED)
    good = True
    for path, count in ((RELAXED, N_RELAXED), (RATTLED, N_RATTLED)):
        with lzma.open(path, "rt") as file:
            stored = ase.io.read(io.StringIO(file.read()), ":", format="extxyz")
        worst = {"energy": 0.0, "forces": 0.0, "net force": 0.0, "difference quotient": 0.0}
        worst |= {"dipole": 0.0, "polarizability": 0.0}
        largest, seen, repeated, rebonded, kinds, elements = [], {}, 0, 0, {}, {}
        for number, atoms in enumerate(stored):
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            largest.append(np.abs(forces).max())
            worst["net force"] = max(worst["net force"], np.abs(forces.sum(axis=0)).max())
            smiles = atoms.info["smiles"]
            _, symbols, bonds = graph(smiles)
            rebonded += symbols != list(atoms.symbols) or bonds_of(atoms) != bonds
            mark = fingerprint({"positions": atoms.positions, "symbols": list(atoms.symbols)})
            repeated += any(same(mark, other) for other in seen.setdefault(mark[0], []))
            seen[mark[0]].append(mark)
            name = atoms.info["config_type"]
            kinds[name] = kinds.get(name, 0) + 1
            for symbol in atoms.symbols:
                elements[symbol] = elements.get(symbol, 0) + 1
            if number % 20 == 0:
                again = Atoms(atoms.symbols, atoms.positions, calculator=xtb())
                worst["energy"] = max(worst["energy"], abs(again.get_potential_energy() - energy))
                worst["forces"] = max(worst["forces"], np.abs(again.get_forces() - forces).max())
                again_electric = electric(list(atoms.symbols), atoms.positions)
                given = {
                    "dipole": atoms.get_dipole_moment(),
                    "polarizability": atoms.info["polarizability"].reshape(3, 3),
                }
                for key, value in given.items():
                    worst[key] = max(worst[key], np.abs(again_electric[key] - value).max())
                along = rng.normal(size=atoms.positions.shape)
                along /= np.linalg.norm(along)
                change = []
                for h in (1e-3, -1e-3):
                    again.positions = atoms.positions + h * along
                    change.append(again.get_potential_energy())
                slope = -(change[0] - change[1]) / 2e-3
                worst["difference quotient"] = max(worst["difference quotient"], abs(slope - np.sum(along * forces)))
        print(f"{path.name}: {len(stored)} frames, {sum(map(len, stored))} atoms, {elements}, {kinds}")
        sizes = [len(atoms) for atoms in stored]
        print(
            f"  {min(sizes)} to {max(sizes)} atoms, {repeated} repeated, {rebonded} with other bonds than their SMILES"
        )
        print(f"  largest force {np.max(largest):.4f} eV/Å, median over frames {np.median(largest):.4f}")
        print("  largest deviations:", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
        good &= len(stored) == count and repeated == 0 and rebonded == 0
        good &= worst["dipole"] < 1e-4 and worst["polarizability"] < 1e-3
        good &= worst["energy"] < 1e-5 and worst["forces"] < 1e-4 and worst["difference quotient"] < 1e-3
        good &= np.max(largest) < (MAX_FORCE if path == RELAXED else MAX_RATTLED_FORCE)
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the files instead of making them")
    parser.add_argument("--rattled", action="store_true", help="make the rattled file only, from the relaxed one")
    parser.add_argument("--electric", action="store_true", help="add dipoles and polarisabilities to the files")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(0 if check() else "the files do not meet their checks")
    if arguments.electric:
        add_electric()
        sys.exit()
    make(arguments.rattled)
