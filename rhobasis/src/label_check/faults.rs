//! What labels can suffer on their way into a file, and how it is undone.

use super::part::Part;
use super::report::Label;

/// eV in a Hartree, Å in a Bohr (CODATA 2018).
const HARTREE: f64 = 27.211386245988;
const BOHR: f64 = 0.529177210903;
/// kcal/mol and kJ/mol in an eV.
const KCAL: f64 = 23.060547830619026;
const KJ: f64 = 96.48533212331;
/// GPa in an eV/Å³.
const GPA: f64 = 160.2176634;

/// How a label becomes what it should have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Undo {
    /// Multiply by this.
    Factor(f64),
    /// Multiply by the number of atoms.
    TimesAtoms,
    /// Divide by the number of atoms.
    OverAtoms,
    /// Multiply by this and divide by the volume.
    ByVolume(f64),
    /// Component k, in the order xx, yy, zz, yz, xz, xy, stands at place `[k]`.
    Order([usize; 6]),
    /// Shears change their sign.
    Shears,
}

/// A fault, in words, with its remedy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub name: &'static str,
    pub remedy: &'static str,
    pub undo: Undo,
}

const fn fault(name: &'static str, undo: Undo, remedy: &'static str) -> Fault {
    Fault { name, remedy, undo }
}

impl Fault {
    /// The label as it should have been, if this is what happened to it.
    pub fn undone(&self, stated: &[f64], n_atoms: usize, volume: f64) -> Vec<f64> {
        let scaled = |factor: f64| stated.iter().map(|x| x * factor).collect();
        match self.undo {
            Undo::Factor(factor) => scaled(factor),
            Undo::TimesAtoms => scaled(n_atoms as f64),
            Undo::OverAtoms => scaled(1.0 / n_atoms as f64),
            Undo::ByVolume(sign) => scaled(sign / volume),
            Undo::Order(from) => from.iter().map(|&k| stated[k]).collect(),
            Undo::Shears => stated.iter().enumerate().map(|(k, x)| if k < 3 { *x } else { -x }).collect(),
        }
    }

    /// Whether no bias of a small model in one kind of frames looks like it.
    pub fn is_gross(&self) -> bool {
        !matches!(self.undo, Undo::Factor(factor) if (0.3..3.0).contains(&factor))
    }

    /// Parts of the label that tell it, the first that does counting.
    pub fn told_by(&self, label: Label) -> &'static [Part] {
        match self.undo {
            _ if label != Label::Stress => &[Part::All],
            Undo::Order(from) if from[..3] == [0, 1, 2] => &[Part::Shears],
            Undo::Shears => &[Part::Shears],
            Undo::Order(_) => &[Part::All],
            _ => &[Part::All, Part::Deviator],
        }
    }

    /// Whether shears only change places: no model that treats directions alike errs that way, however poor it is.
    pub fn exchanges_shears(&self) -> bool {
        matches!(self.undo, Undo::Order(from) if from[..3] == [0, 1, 2])
    }
}

const UNIT_OF_ENERGY: &str = "convert the energies to eV";
const UNIT_OF_FORCES: &str = "convert the forces to eV/Å";
const UNIT_OF_STRESS: &str = "convert the stress to eV/Å³, positive under tension";
const FORCES_SIGN: &str = "forces are −dE/dr: change their sign";

static ENERGY: [Fault; 7] = [
    fault("energy of the wrong sign", Undo::Factor(-1.0), "bound states are negative: change the sign of the energies"),
    fault("energy per atom given as total", Undo::TimesAtoms, "give the total energy of the frame"),
    fault("energy in Hartree", Undo::Factor(HARTREE), UNIT_OF_ENERGY),
    fault("energy in Rydberg", Undo::Factor(HARTREE / 2.0), UNIT_OF_ENERGY),
    fault("energy in kcal/mol", Undo::Factor(1.0 / KCAL), UNIT_OF_ENERGY),
    fault("energy in kJ/mol", Undo::Factor(1.0 / KJ), UNIT_OF_ENERGY),
    fault("energy in meV", Undo::Factor(1e-3), UNIT_OF_ENERGY),
];

static FORCES: [Fault; 10] = [
    fault("forces of the wrong sign (gradients)", Undo::Factor(-1.0), FORCES_SIGN),
    fault("forces in Hartree/Bohr", Undo::Factor(HARTREE / BOHR), UNIT_OF_FORCES),
    fault("gradients in Hartree/Bohr (forces of the wrong sign)", Undo::Factor(-HARTREE / BOHR), UNIT_OF_FORCES),
    fault("forces in Rydberg/Bohr", Undo::Factor(HARTREE / 2.0 / BOHR), UNIT_OF_FORCES),
    fault("forces in Hartree/Å", Undo::Factor(HARTREE), UNIT_OF_FORCES),
    fault("forces in Rydberg/Å", Undo::Factor(HARTREE / 2.0), UNIT_OF_FORCES),
    fault("forces in kcal/mol/Å", Undo::Factor(1.0 / KCAL), UNIT_OF_FORCES),
    fault("forces in kJ/mol/Å", Undo::Factor(1.0 / KJ), UNIT_OF_FORCES),
    fault("forces in meV/Å", Undo::Factor(1e-3), UNIT_OF_FORCES),
    fault(
        "forces per Bohr (energies and forces in atomic units?)",
        Undo::Factor(1.0 / BOHR),
        "convert the forces to eV/Å; are the energies in eV?",
    ),
];

/// Energies of a whole set that do not go with its forces: what makes the forces go with the energies, wrong as these are.
static ENERGY_BY_FORCES: [Fault; 6] = [
    fault("energy in Hartree", Undo::Factor(1.0 / HARTREE), UNIT_OF_ENERGY),
    fault("energy in Rydberg", Undo::Factor(2.0 / HARTREE), UNIT_OF_ENERGY),
    fault("energy in kcal/mol", Undo::Factor(KCAL), UNIT_OF_ENERGY),
    fault("energy in kJ/mol", Undo::Factor(KJ), UNIT_OF_ENERGY),
    fault("energy in meV", Undo::Factor(1e3), UNIT_OF_ENERGY),
    fault("energy per atom given as total", Undo::OverAtoms, "give the total energy of the frame"),
];

const ORDER: &str = "give the stress as xx yy zz yz xz xy or as nine numbers; VASP prints xx yy zz xy yz zx";
const VIRIAL: &str = "divide by the volume, stress = −virial/volume, or name the key with --virial-key";

static STRESS: [Fault; 15] = [
    fault("stress of the wrong sign", Undo::Factor(-1.0), "the stress is positive under tension: change its sign"),
    fault("shears of the wrong sign", Undo::Shears, "change the sign of yz, xz, xy"),
    fault("virial taken for stress", Undo::ByVolume(-1.0), VIRIAL),
    fault("virial of the wrong sign taken for stress", Undo::ByVolume(1.0), VIRIAL),
    fault("stress in GPa", Undo::Factor(1.0 / GPA), UNIT_OF_STRESS),
    fault("pressure tensor in GPa (sign and unit)", Undo::Factor(-1.0 / GPA), UNIT_OF_STRESS),
    fault("stress in kbar", Undo::Factor(0.1 / GPA), UNIT_OF_STRESS),
    fault("pressure tensor in kbar (sign and unit, as VASP prints it)", Undo::Factor(-0.1 / GPA), UNIT_OF_STRESS),
    fault("stress in Hartree/Bohr³", Undo::Factor(HARTREE / (BOHR * BOHR * BOHR)), UNIT_OF_STRESS),
    fault("stress components yz and xz exchanged", Undo::Order([0, 1, 2, 4, 3, 5]), ORDER),
    fault("stress components yz and xy exchanged", Undo::Order([0, 1, 2, 5, 4, 3]), ORDER),
    fault("stress components xz and xy exchanged", Undo::Order([0, 1, 2, 3, 5, 4]), ORDER),
    fault("stress in the order xx yy zz xy yz zx", Undo::Order([0, 1, 2, 4, 5, 3]), ORDER),
    fault("stress in the order xx yy zz xz xy yz", Undo::Order([0, 1, 2, 5, 3, 4]), ORDER),
    fault("stress in the order xx xy xz yy yz zz", Undo::Order([0, 3, 5, 4, 2, 1]), ORDER),
];

/// What can have happened to a label of one frame, or of some.
pub(super) fn faults_of(label: Label) -> &'static [Fault] {
    match label {
        Label::Energy => &ENERGY,
        Label::Forces => &FORCES,
        Label::Stress => &STRESS,
    }
}

/// What can have happened to the energies of a whole set, as seen in its forces.
pub(super) fn energies_by_forces() -> &'static [Fault] {
    &ENERGY_BY_FORCES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(name: &str, stated: &[f64]) -> Vec<f64> {
        let fault = STRESS.iter().find(|f| f.name.contains(name)).unwrap();
        fault.undone(stated, 2, 10.0)
    }

    #[test]
    fn components_go_back_to_their_places() {
        // What xx yy zz yz xz xy = 1 … 6 looks like under another order.
        assert_eq!(undone("yz and xz exchanged", &[1., 2., 3., 5., 4., 6.]), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(undone("order xx yy zz xy yz zx", &[1., 2., 3., 6., 4., 5.]), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(undone("order xx yy zz xz xy yz", &[1., 2., 3., 5., 6., 4.]), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(undone("order xx xy xz yy yz zz", &[1., 6., 5., 2., 4., 3.]), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(undone("virial taken", &[-10.0; 6]), [1.0; 6]);
    }
}
