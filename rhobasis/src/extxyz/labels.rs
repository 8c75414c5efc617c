use super::read::Options;
use crate::structure::{ColumnData, Value, Vec3, periodicity};
use crate::{Error, Result, Structure};

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

/// Energy, forces and stress of a frame under the keys of `options`.
///
/// The stress is that of `stress_key`, or −virial / volume; either is nine numbers, or six in the order
/// xx, yy, zz, yz, xz, xy. Refused are other shapes, values that are not finite, a stress and a virial that
/// contradict each other, and a stress without periodicity in all three directions, for want of a volume.
pub fn labels(structure: &Structure, options: &Options) -> Result<Labels> {
    let energy = present(structure, &options.energy_key).map(|v| energy(v, &options.energy_key)).transpose()?;
    let forces = forces(structure, &options.force_key)?;
    let given = present(structure, &options.stress_key).map(|v| matrix(v, &options.stress_key)).transpose()?;
    let virial = present(structure, &options.virial_key).map(|v| matrix(v, &options.virial_key)).transpose()?;
    if given.is_none() && virial.is_none() {
        return Ok(Labels { energy, forces, stress: None });
    }
    let volume = structure.volume();
    if structure.pbc != [true; 3] || volume <= 0.0 {
        return Err(Error::structure(
            None,
            format!("a stress is given, but pbc is {} and the volume {volume} Å³", periodicity(structure.pbc)),
            "a stress needs a cell that is periodic in all three directions; set stress_key and virial_key to \"\" to leave it out",
        ));
    }
    let from_virial = virial.map(|w| w.map(|row| row.map(|x| -x / volume)));
    if let (Some(s), Some(w)) = (given, from_virial) {
        agree(s, w, options)?;
    }
    Ok(Labels { energy, forces, stress: given.or(from_virial) })
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
    let value = present(structure, key).ok_or_else(|| {
        let known: Vec<&str> = structure.info.iter().map(|(name, _)| name.as_str()).collect();
        let found = if known.is_empty() { "nothing".to_string() } else { known.join(" ") };
        let remedy = format!("its comment line has {found}; name the key of its energy by energy_key, or leave it out");
        Error::structure(None, format!("there is no energy under the key '{key}'"), remedy)
    })?;
    energy(value, key)
}

fn present<'a>(structure: &'a Structure, key: &str) -> Option<&'a Value> {
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
    if !energy.is_finite() {
        return Err(Error::structure(
            None,
            format!("energy {key}={energy} is not finite"),
            "remove the frame, or its energy",
        ));
    }
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
    let forces: Vec<Vec3> = flat.chunks_exact(3).map(|f| [f[0], f[1], f[2]]).collect();
    match forces.iter().position(|f| !f.iter().all(|x| x.is_finite())) {
        Some(atom) => Err(Error::structure(
            Some(atom),
            format!("force {key} = {:?} is not finite", forces[atom]),
            "remove the frame, or its forces",
        )),
        None => Ok(Some(forces)),
    }
}

/// The symmetric part of nine numbers, or six in Voigt order.
fn matrix(value: &Value, key: &str) -> Result<[Vec3; 3]> {
    let x: Vec<f64> = match value {
        Value::Reals(x, _) => x.clone(),
        Value::Ints(x, _) => x.iter().map(|&i| i as f64).collect(),
        _ => Vec::new(),
    };
    let mean = |i: usize, j: usize| 0.5 * (x[i] + x[j]);
    let [xx, yy, zz, yz, xz, xy] = match x[..] {
        [xx, yy, zz, yz, xz, xy] => [xx, yy, zz, yz, xz, xy],
        [xx, _, _, _, yy, _, _, _, zz] => [xx, yy, zz, mean(5, 7), mean(2, 6), mean(1, 3)],
        _ => {
            return Err(Error::structure(
                None,
                format!("{key}={value} does not hold nine or six numbers"),
                "give the matrix row by row, or xx yy zz yz xz xy",
            ));
        }
    };
    if !x.iter().all(|x| x.is_finite()) {
        return Err(Error::structure(None, format!("{key}={x:?} is not finite"), "remove the frame, or this key"));
    }
    Ok([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
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
