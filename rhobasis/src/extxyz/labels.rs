use super::likely::other_energies;
use super::read::Options;
use crate::structure::{ColumnData, Value, Vec3};
use crate::{Error, Result, Structure};

/// No energy is larger, in eV: the mass of the observable universe is 1e89. A larger label is a slip or a code for 'missing', and
/// squares of smaller ones can be summed.
pub(crate) const LARGEST: f64 = 1e100;

/// What a frame says about itself; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// Total energy, in eV.
    pub energy: Option<f64>,
    /// Force on each atom, in eV/Å.
    pub forces: Option<Vec<Vec3>>,
    /// Stress +(1/V) dE/dε, in eV/Å³, symmetric.
    pub stress: Option<[Vec3; 3]>,
}

impl Labels {
    /// Refuses numbers that no label can be: NaN, infinite, or beyond 1e100 in eV, eV/Å or eV/Å³.
    ///
    /// # Errors
    /// For the first such number, with its atom and component.
    pub fn validate(&self) -> Result<()> {
        let check = |numbers: &[f64], name: &str, component: fn(usize) -> (Option<usize>, &'static str)| match is_there(
            numbers, name, component,
        )? {
            true => Ok(()),
            false => Err(Error::structure(None, format!("{name} is NaN"), "leave it out where there is none")),
        };
        check(self.energy.as_slice(), "energy", |_| (None, ""))?;
        check(self.forces.as_deref().unwrap_or_default().as_flattened(), "forces", of_forces)?;
        check(self.stress.as_ref().map_or(&[], |s| s.as_flattened()), "stress", of_matrix)
    }
}

/// A label that a frame carries, and that counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omission {
    /// The energy is NaN.
    NanEnergy,
    /// All forces are NaN.
    NanForces,
    /// All components of a stress or virial are NaN.
    NanStress,
    /// There is a stress or virial without periodicity in all three directions, hence without a volume.
    StressWithoutVolume,
}

/// Energy, forces and stress of a frame under the keys of `options`.
///
/// The stress is that of `stress_key`, or −virial / volume; either is nine numbers, or six in the order
/// xx, yy, zz, yz, xz, xy. A label that is NaN throughout is absent, and so is a stress without periodicity in all three
/// directions, for want of a volume; [`labels_and_omissions`] tells of these.
///
/// # Errors
/// For other shapes, values that are infinite, beyond 1e100 or NaN in part, and a stress and a virial that contradict each other.
pub fn labels(structure: &Structure, options: &Options) -> Result<Labels> {
    labels_and_omissions(structure, options).map(|(labels, _)| labels)
}

/// As [`labels`], with what the frame carries and counts as absent.
///
/// ```
/// use rhobasis::{Structure, extxyz, structure::Value};
/// let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
/// atom.info.push(("energy".to_string(), Value::Real(f64::NAN)));
/// let (labels, omitted) = extxyz::labels_and_omissions(&atom, &extxyz::Options::default())?;
/// assert_eq!((labels.energy, omitted), (None, vec![extxyz::Omission::NanEnergy]));
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn labels_and_omissions(structure: &Structure, options: &Options) -> Result<(Labels, Vec<Omission>)> {
    let mut omitted = Vec::new();
    let mut omit = |there: bool, why: Omission| {
        if !there {
            omitted.push(why);
        }
        there
    };
    let mut said = Labels::default();
    if let Some(value) = present(structure, &options.energy_key) {
        let energy = energy(value, &options.energy_key)?;
        said.energy = omit(!energy.is_nan(), Omission::NanEnergy).then_some(energy);
    }
    if let Some(forces) = forces(structure, &options.force_key)? {
        let there = is_there(forces.as_flattened(), &options.force_key, of_forces)?;
        said.forces = omit(there, Omission::NanForces).then_some(forces);
    }
    let mut matrix_of = |key: &str| -> Result<Option<[Vec3; 3]>> {
        let Some(numbers) = present(structure, key).map(|value| numbers(value, key)).transpose()? else {
            return Ok(None);
        };
        let there = is_there(&numbers, key, if numbers.len() == 6 { of_voigt } else { of_matrix })?;
        Ok(omit(there, Omission::NanStress).then(|| symmetric(&numbers)))
    };
    let (given, virial) = (matrix_of(&options.stress_key)?, matrix_of(&options.virial_key)?);
    if given.is_none() && virial.is_none() {
        return Ok((said, omitted));
    }
    if !omit(structure.pbc == [true; 3], Omission::StressWithoutVolume) {
        return Ok((said, omitted));
    }
    let volume = structure.volume();
    if volume <= 0.0 {
        let problem = format!("a stress is given, and the volume of the cell is {volume} Å³");
        return Err(Error::structure(None, problem, "give three independent lattice vectors, or pbc=\"F F F\""));
    }
    let from_virial = virial.map(|w| w.map(|row| row.map(|x| -x / volume)));
    if let Some(s) = &from_virial {
        is_there(s.as_flattened(), &format!("−{}/volume", options.virial_key), of_matrix)?;
    }
    if let (Some(s), Some(w)) = (given, from_virial) {
        agree(s, w, options)?;
    }
    said.stress = given.or(from_virial);
    Ok((said, omitted))
}

/// Whether a label is there: it is not where its numbers are NaN throughout. `component` names the k-th number, by the atom it
/// belongs to and the component.
///
/// # Errors
/// If a number is infinite or beyond 1e100, or some are NaN and others are not.
pub fn is_there(
    numbers: &[f64],
    name: &str,
    component: impl Fn(usize) -> (Option<usize>, &'static str),
) -> Result<bool> {
    let is_possible = |x: &f64| x.abs() <= LARGEST; // which NaN is not
    let Some(k) = numbers.iter().position(|x| !is_possible(x)) else { return Ok(true) };
    if numbers.iter().all(|x| x.is_nan()) {
        return Ok(false);
    }
    let x = numbers[k];
    let (atom, component) = component(k);
    let number = if component.is_empty() { name.to_string() } else { format!("component {component} of {name}") };
    if x.is_finite() {
        let remedy = "correct it, or give NaN throughout where there is no such label";
        return Err(Error::structure(atom, format!("{number} is {x:e}, and labels reach {LARGEST:e} at most"), remedy));
    }
    let remedy = "give finite numbers, or NaN throughout where there is no such label";
    Err(Error::structure(atom, format!("{number} is {x}"), remedy))
}

/// Components of forces `[atom, 3]`, for [`is_there`].
pub fn of_forces(k: usize) -> (Option<usize>, &'static str) {
    (Some(k / 3), ["x", "y", "z"][k % 3])
}

/// Components of a matrix of nine numbers, for [`is_there`].
pub fn of_matrix(k: usize) -> (Option<usize>, &'static str) {
    (None, ["xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"][k])
}

pub(super) fn of_voigt(k: usize) -> (Option<usize>, &'static str) {
    (None, ["xx", "yy", "zz", "yz", "xz", "xy"][k])
}

/// Energy of a frame under this key, in eV.
///
/// # Errors
/// If there is none, naming what there is, or it is no finite number.
///
/// ```
/// use rhobasis::{Structure, extxyz, structure::Value};
/// let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
/// assert!(extxyz::required_energy(&atom, "energy").is_err());
/// atom.info.push(("energy".to_string(), Value::Real(-78.9)));
/// assert_eq!(extxyz::required_energy(&atom, "energy")?, -78.9);
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn required_energy(structure: &Structure, key: &str) -> Result<f64> {
    let Some(value) = present(structure, key) else {
        let problem = format!("there is no energy under the key '{key}'");
        return Err(Error::structure(None, problem, other_energies(structure, key)));
    };
    let energy = energy(value, key)?;
    if energy.is_nan() {
        return Err(Error::structure(
            None,
            format!("energy {key}={energy} is none"),
            "give it, or leave the frame out",
        ));
    }
    Ok(energy)
}

pub(super) fn present<'a>(structure: &'a Structure, key: &str) -> Option<&'a Value> {
    if key.is_empty() { None } else { structure.get(key) }
}

fn energy(value: &Value, key: &str) -> Result<f64> {
    let energy = match *value {
        Value::Int(i) => i as f64,
        Value::Real(x) => x,
        _ => {
            return Err(Error::structure(
                None,
                format!("energy {key}={value} is no number"),
                "give the total energy of the frame in eV, or name its key by energy_key",
            ));
        }
    };
    is_there(&[energy], key, |_| (None, ""))?;
    Ok(energy)
}

fn forces(structure: &Structure, key: &str) -> Result<Option<Vec<Vec3>>> {
    let column = match key {
        "" => None,
        "forces" => structure.column("forces").or_else(|| structure.column("force")),
        key => structure.column(key),
    };
    let Some(column) = column else { return Ok(None) };
    let flat = match &column.data {
        ColumnData::Reals(x) => x.clone(),
        ColumnData::Ints(x) => x.iter().map(|&i| i as f64).collect(),
        _ => Vec::new(),
    };
    if column.width != 3 || flat.len() != 3 * structure.len() {
        return Err(Error::structure(
            None,
            format!("the column {key} has {} values per atom, and forces have three numbers", column.width),
            "declare it as R:3 in Properties, or name the column of the forces by force_key",
        ));
    }
    Ok(Some(flat.chunks_exact(3).map(|f| [f[0], f[1], f[2]]).collect()))
}

/// The numbers of an array; none of anything else.
pub(super) fn numbers_of(value: &Value) -> Vec<f64> {
    match value {
        Value::Reals(x, _) => x.clone(),
        Value::Ints(x, _) => x.iter().map(|&i| i as f64).collect(),
        _ => Vec::new(),
    }
}

/// Nine numbers, or six in Voigt order.
fn numbers(value: &Value, key: &str) -> Result<Vec<f64>> {
    let x = numbers_of(value);
    match x.len() {
        6 | 9 => Ok(x),
        _ => Err(Error::structure(
            None,
            format!("{key}={value} does not hold nine or six numbers"),
            "give the matrix row by row, or xx yy zz yz xz xy",
        )),
    }
}

/// The symmetric part of nine numbers, or six in Voigt order.
pub(super) fn symmetric(x: &[f64]) -> [Vec3; 3] {
    let mean = |i: usize, j: usize| 0.5 * (x[i] + x[j]);
    let [xx, yy, zz, yz, xz, xy] = match *x {
        [xx, yy, zz, yz, xz, xy] => [xx, yy, zz, yz, xz, xy],
        _ => [x[0], x[4], x[8], mean(5, 7), mean(2, 6), mean(1, 3)],
    };
    [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
}

/// Files round both to a few digits, hence the generous tolerance: wrong signs and units are off by far more.
fn agree(stress: [Vec3; 3], from_virial: [Vec3; 3], options: &Options) -> Result<()> {
    let largest = |m: &mut dyn Iterator<Item = f64>| m.fold(0.0, |a: f64, x| a.max(x.abs()));
    let scale = largest(&mut stress.into_iter().flatten());
    let pairs = stress.into_iter().flatten().zip(from_virial.into_iter().flatten());
    let difference = largest(&mut pairs.map(|(s, w)| s - w));
    if difference > 1e-3 * scale + 1e-6 {
        return Err(Error::structure(
            None,
            format!(
                "{} and −{}/volume differ by {difference:.3e} eV/Å³: xx is {:.6e} and {:.6e}",
                options.stress_key, options.virial_key, stress[0][0], from_virial[0][0]
            ),
            "the stress is +(1/V) dE/dε in eV/Å³ and the virial −V × stress in eV; set stress_key or virial_key to \"\" to leave the wrong one out",
        ));
    }
    Ok(())
}
