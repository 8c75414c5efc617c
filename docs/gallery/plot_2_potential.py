"""
A potential for silicon
=======================

From energies, forces and stresses to a potential: trained, tested, with error bars that are checked, and a lattice
constant from ASE. The labels are those of the Stillinger-Weber potential, so that the right answers are known.
"""

# %%
# Every second frame is learned from. The basis is fitted along with the potential, to the same frames.

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.eos import EquationOfState

import rhobasis as rb

frames = rb.read("../../examples/data/silicon.xyz.xz")
train, test = frames[1::2], frames[::2]
density = rb.Density(r_cut=4.5, sigma=0.4, cutoff_width=1.0)
basis = rb.OptimalBasis(density, rb.Gto(n_max=12), l_max=8, q_max=8)
potential = rb.Potential(rb.PowerSpectrum(basis), rb.Ridge()).fit(train)
potential

# %%
# Predictions against labels, for frames that it has not seen.

potential.plot(test)

# %%
# How far off may a prediction be? The potential says so itself. Of the errors, 68 % should be smaller than one standard
# deviation, and 90 % smaller than 1.64; shares of a test set as small as this one scatter around that.

prediction = potential.predict(test, forces=False, uncertainty=True)
sizes = np.array([len(atoms) for atoms in test])
labels = np.array([atoms.info["energy"] for atoms in test])
errors = np.abs(prediction.energies - labels) / sizes
deviations = prediction.energy_uncertainties / sizes
for name, factor in (("68 %", 1.0), ("90 %", 1.645)):
    print(f"{name}: {100 * np.mean(errors < factor * deviations):.0f} % within")

ax = plt.figure(figsize=(4.5, 3.6), layout="constrained").gca()
ax.loglog(deviations, errors, ".")
ends = np.array([deviations.min(), deviations.max()])
ax.loglog(ends, ends, "0.4", label="1 standard deviation")
ax.loglog(ends, 1.645 * ends, "0.4", ls="--", label="1.645")
ax.set(xlabel="predicted standard deviation / (eV/atom)", ylabel="error / (eV/atom)", ylim=(1e-6, None))
ax.legend()

# %%
# Errors by kind of structure: what is rare, or far from the rest, is less well known.

kinds = np.array([atoms.info["config_type"] for atoms in test])
for kind in np.unique(kinds):
    of = kinds == kind
    print(f"{kind:14} {1000 * np.sqrt(np.mean(errors[of] ** 2)):7.2f} meV/atom")

# %%
# The equation of state of diamond. Stillinger-Weber has −4.3364 eV per atom at a = 5.431 Å.

volumes, energies = [], []
for a in np.linspace(5.25, 5.62, 9):
    atoms = bulk("Si", a=a)
    atoms.calc = rb.ase.Calculator(potential)
    volumes.append(atoms.get_volume())
    energies.append(atoms.get_potential_energy())
volume, energy, bulk_modulus = EquationOfState(volumes, energies).fit()
print(f"a = {(4 * volume) ** (1 / 3):.4f} Å, E = {energy / 2:.4f} eV/atom, B = {bulk_modulus * 160.21766:.1f} GPa")

ax = plt.figure(figsize=(4.5, 3.4), layout="constrained").gca()
ax.plot((4 * np.array(volumes)) ** (1 / 3), np.array(energies) / 2, "o-")
ax.axvline(5.431, color="0.5", ls="--", label="Stillinger-Weber")
ax.set(xlabel="lattice constant / Å", ylabel="energy / (eV/atom)")
ax.legend()
