use super::tensors::{dipole_of, spherical_of_dipole, spherical_of_symmetric, symmetric_of};
use crate::extxyz;
use crate::settings::named;
use crate::structure::Structure;
use crate::{Error, Result};

named! {
    /// The tensor of a structure that is learned.
    pub enum Target {
        /// A vector, λ = 1; in eÅ, if labels are
        Dipole = "dipole",
        /// A symmetric matrix, λ = 0 and λ = 2; in the unit of its labels
        Polarizability = "polarizability",
    }
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::Dipole, Target::Polarizability];

    /// The degrees λ of its parts.
    pub fn lambdas(self) -> &'static [usize] {
        match self {
            Target::Dipole => &[1],
            Target::Polarizability => &[0, 2],
        }
    }

    /// Its Cartesian components, in order.
    pub fn components(self) -> &'static [&'static str] {
        match self {
            Target::Dipole => &["x", "y", "z"],
            Target::Polarizability => &["xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"],
        }
    }

    /// The key under which frames have it, unless another is named.
    pub fn key(self) -> &'static str {
        match self {
            Target::Dipole => "dipole",
            Target::Polarizability => "polarizability",
        }
    }

    /// The setting that names its key.
    pub fn key_setting(self) -> &'static str {
        match self {
            Target::Dipole => "dipole_key",
            Target::Polarizability => "polarizability_key",
        }
    }

    /// The unit of values; empty if it is that of the labels.
    pub fn unit(self) -> &'static str {
        match self {
            Target::Dipole => "eÅ",
            Target::Polarizability => "",
        }
    }

    /// What a frame says of it under this key, Cartesian components in order; none if it says nothing, or NaN throughout.
    ///
    /// # Errors
    /// As [`extxyz::vector`] and [`extxyz::symmetric_matrix`].
    pub fn label(self, structure: &Structure, key: &str) -> Result<Option<Vec<f64>>> {
        match self {
            Target::Dipole => Ok(extxyz::vector(structure, key)?.map(|v| v.to_vec())),
            Target::Polarizability => Ok(extxyz::symmetric_matrix(structure, key)?.map(|a| a.as_flattened().to_vec())),
        }
    }

    /// Refuses Cartesian components that are not finite, or of another number.
    ///
    /// # Errors
    /// Without a frame.
    pub(super) fn check(self, label: &[f64]) -> Result<()> {
        let n = self.components().len();
        if label.len() != n {
            let problem = format!("a label of {} numbers, and a {} has {n}", label.len(), self.key());
            return Err(Error::structure(None, problem, "give its Cartesian components, row by row"));
        }
        let names = self.components();
        match label.iter().position(|x| x.abs() > extxyz::LARGEST || x.is_nan()) {
            None => Ok(()),
            Some(k) => {
                let problem = format!("component {} of its {} is {}", names[k], self.key(), label[k]);
                Err(Error::structure(None, problem, "give finite numbers, or none where there is no such label"))
            }
        }
    }

    /// Spherical components, one λ after the other.
    ///
    /// # Panics
    /// Unless there are as many numbers as [`Target::components`].
    pub fn spherical(self, cartesian: &[f64]) -> Vec<f64> {
        let row = |k: usize| <[f64; 3]>::try_from(&cartesian[3 * k..3 * k + 3]).expect("three numbers");
        match self {
            Target::Dipole => spherical_of_dipole(row(0)).to_vec(),
            Target::Polarizability => spherical_of_symmetric([row(0), row(1), row(2)]).to_vec(),
        }
    }

    /// The inverse of [`Target::spherical`].
    ///
    /// # Panics
    /// Unless there are as many numbers as components of all λ.
    pub fn cartesian(self, spherical: &[f64]) -> Vec<f64> {
        const AS_MANY: &str = "as many numbers as components";
        match self {
            Target::Dipole => dipole_of(spherical.try_into().expect(AS_MANY)).to_vec(),
            Target::Polarizability => symmetric_of(spherical.try_into().expect(AS_MANY)).as_flattened().to_vec(),
        }
    }
}
