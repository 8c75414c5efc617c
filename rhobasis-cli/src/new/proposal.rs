//! Settings for a data set, each with the rule that it follows.

use rhobasis::correlations::{FeatureKind, Invariants, Member};
use rhobasis::density::{Density, ExpansionSettings, Primitive, RadialScaling, Sigma};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis};
use rhobasis::structure::symbol;
use rhobasis::{Error, Result};

use super::data::{Found, REACH};
use crate::make_basis::principal;
use crate::text::count;

/// An atom of a solid or a liquid sees about three shells.
const NEIGHBORS: usize = 40;
/// Of a molecule, so many of the pairs within reach.
const PAIRS: f64 = 0.9;
/// Smallest cutoff, in Å.
const LEAST_CUTOFF: f64 = 4.0;
const CUTOFF_WIDTH: f64 = 1.0;
/// Width of the Gaussians by the distance of the nearest neighbour, and its limits, in Å.
const WIDTH: f64 = 0.15;
const WIDTHS: (f64, f64) = (0.25, 0.5);
const N_MAX: (usize, usize) = (10, 20);
const L_MAX: (usize, usize) = (4, 6);
/// Functions, of a linear model; of a kernel, which has no parameter for each feature, there may be more.
const Q_MAX: (usize, usize) = (4, 10);
const MOST_OF_KERNEL: usize = 16;
/// Part of the variance of the density that is to be kept, or functions are made for the labels.
const ENOUGH: f64 = 0.99;
/// Part of it that may be lost.
const LOST: f64 = 1e-4;
/// Exponent of the scaling, and the smallest distance at which it sets in, in Å.
const EXPONENT: f64 = 4.0;
const LEAST_SCALE: f64 = 2.0;
/// Channels and l that a bispectrum is made of.
const OF_TRIPLES: (usize, usize) = (4, 3);
/// Labels that each parameter should have.
const LABELS_PER_PARAMETER: usize = 5;
/// Most parameters of a linear model with a bispectrum.
const MOST_PARAMETERS: usize = 3000;
/// Most atoms of a kernel of all of them, which takes minutes for so many.
const MOST_ATOMS_OF_KERNEL: usize = 30_000;
/// Forces smaller than this are those of relaxed structures, in eV/Å.
const RELAXED: f64 = 0.02;
/// Sigmas by how much energies vary, and by the size of forces and stresses, with their limits.
const OF_SPREAD: f64 = 0.01;
const OF_SIZE: f64 = 0.05;
const ENERGY_SIGMAS: (f64, f64) = (5e-4, 0.02);
const FORCE_SIGMAS: (f64, f64) = (0.005, 0.2);
const STRESS_SIGMAS: (f64, f64) = (5e-4, 0.05);

/// A value and why it is that.
pub struct Choice<T> {
    pub value: T,
    pub why: String,
}

impl<T> Choice<T> {
    fn new(value: T, why: impl Into<String>) -> Self {
        Choice { value, why: why.into() }
    }
}

/// The kind of model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Linear, of the power spectrum, and of a bispectrum too if so.
    Linear { triples: bool },
    /// A kernel of all atoms, of energies alone.
    Kernel,
}

/// What the model file is to say.
pub struct Proposal {
    pub test_fraction: Choice<Option<f64>>,
    pub r_cut: Choice<f64>,
    pub sigma: Choice<f64>,
    pub scaling: Choice<f64>,
    pub n_max: Choice<usize>,
    pub l_max: Choice<usize>,
    pub q_max: Choice<usize>,
    pub combined: Choice<bool>,
    /// Whether functions are made for the labels.
    pub supervised: Choice<bool>,
    pub model: Choice<Model>,
    pub isolated_atoms: Choice<bool>,
    pub energy_sigma: Choice<Option<f64>>,
    pub force_sigma: Choice<Option<f64>>,
    pub stress_sigma: Choice<Option<f64>>,
}

impl Proposal {
    pub fn of(found: &Found) -> Result<Self> {
        let near = found.distances.nearest;
        let learns_forces = found.forces > 0 && found.force_size >= RELAXED;
        if found.energies == 0 && !learns_forces {
            let problem = "no frame has an energy, or forces of atoms that are not at rest";
            return Err(Error::setting("DATA", "unlabelled", problem, "name the keys of labels, as with --energy-key"));
        }
        let r_cut = r_cut(found);
        let width = (WIDTH * near / 0.05).round() * 0.05;
        let width = width.clamp(WIDTHS.0, WIDTHS.1);
        let sigma = Choice::new(
            rounded(width, 2),
            format!(
                "Å; 0.15 of the distance of nearest neighbours, {near:.2} Å (median, {}), from {} to {} Å",
                symbol(found.distances.nearest_of),
                WIDTHS.0,
                WIDTHS.1
            ),
        );
        let n_max = (r_cut.value / sigma.value).round() as usize;
        let n_max = Choice::new(
            n_max.clamp(N_MAX.0, N_MAX.1),
            format!(
                "primitive functions: as many as Gaussians fit side by side, r_cut/sigma, from {} to {}",
                N_MAX.0, N_MAX.1
            ),
        );
        let l_max = (near / sigma.value).round() as usize;
        let l_max = Choice::new(
            l_max.clamp(L_MAX.0, L_MAX.1),
            format!("the angle under which a Gaussian on a nearest neighbour is seen, from {} to {}", L_MAX.0, L_MAX.1),
        );
        let scaling = Choice::new(
            rounded((near / 0.25).round() * 0.25, 2).max(LEAST_SCALE),
            format!(
                "neighbours beyond the nearest count less, as 1/(1 + (r/r0)^{EXPONENT}), r0 {LEAST_SCALE} Å or more: most of the \
                 energy is near"
            ),
        );
        let combined = Choice::new(
            found.species.len() > 1,
            "species share their functions, so that the number of features does not grow with that of species",
        );
        let density = Density {
            r_cut: r_cut.value,
            sigma: Sigma::Same(sigma.value),
            cutoff_width: CUTOFF_WIDTH,
            scaling: Some(RadialScaling { rate: 1.0, scale: scaling.value, exponent: EXPONENT }),
            ..Density::default()
        };
        let primitive = Primitive::Gto { n_max: n_max.value };
        let expansion = ExpansionSettings { density, primitive, l_max: l_max.value, ..ExpansionSettings::default() };
        let mixing = if combined.value { Mixing::Combined } else { Mixing::PerSpecies };
        let settings = CovarianceSettings { expansion, mixing, center_specific: false, weighting: None };
        let kernel = takes_kernel(found, learns_forces);
        let (q_max, basis) = q_max(found, &settings, if kernel { MOST_OF_KERNEL } else { Q_MAX.1 })?;
        let kept = 1.0 - basis.discarded_variance();
        let model = model(found, learns_forces, q_max.value, &basis)?;
        let sigmas = sigmas(found, learns_forces && model.value != Model::Kernel, model.value);
        let [energy_sigma, force_sigma, stress_sigma] = sigmas;
        Ok(Proposal {
            test_fraction: test_fraction(found.n_frames),
            r_cut,
            sigma,
            scaling,
            n_max,
            l_max,
            q_max,
            combined,
            supervised: Choice::new(
                !kernel && kept < ENOUGH,
                format!("so few principal functions keep {:.1} %: these are made for the labels instead", 100.0 * kept),
            ),
            model,
            isolated_atoms: baseline(found),
            energy_sigma,
            force_sigma,
            stress_sigma,
        })
    }

    /// Width of the shell in which neighbours fade, in Å.
    pub fn cutoff_width(&self) -> Choice<f64> {
        Choice::new(CUTOFF_WIDTH, "Å; neighbours fade out over this shell, so that forces have no jumps")
    }

    pub fn exponent(&self) -> f64 {
        EXPONENT
    }

    /// Channels and largest l of the bispectrum, where there is one.
    pub fn of_triples(&self) -> (usize, usize) {
        (OF_TRIPLES.0.min(self.q_max.value), OF_TRIPLES.1.min(self.l_max.value))
    }
}

fn r_cut(found: &Found) -> Choice<f64> {
    let distances = &found.distances;
    let up = |r: f64| ((r - 1e-9) / 0.5).ceil() * 0.5;
    let has = |r| format!("an atom has {:.0} neighbours", distances.neighbors_within(r));
    match distances.of_neighbors(NEIGHBORS).filter(|r| *r <= REACH) {
        Some(r) => {
            let r_cut = up(r).max(LEAST_CUTOFF);
            let rule = format!("Å; {NEIGHBORS} neighbours or more, up to the next 0.5 Å, at least {LEAST_CUTOFF} Å");
            Choice::new(r_cut, format!("{rule}: here {}", has(r_cut)))
        }
        None => {
            let r_cut = up(distances.of_pairs(PAIRS)).max(LEAST_CUTOFF);
            let rule = format!("Å; nine tenths of the pairs within {REACH} Å, from {LEAST_CUTOFF} Å");
            Choice::new(r_cut, format!("{rule}, as no atom sees {NEIGHBORS} others: here {}", has(r_cut)))
        }
    }
}

/// The number of functions, `most` at most, and the basis that has them, of a sample of the frames.
fn q_max(found: &Found, settings: &CovarianceSettings, most: usize) -> Result<(Choice<usize>, OptimalBasis)> {
    let leading = |sums: &Covariance| sums.leading(1);
    let residual = principal(settings, leading, &found.some, &[])?.residual_variance(None);
    let enough = (Q_MAX.0..most).find(|&q| residual.get(q).is_none_or(|lost| *lost < LOST)).unwrap_or(most);
    let kept = 100.0 * (1.0 - residual.get(enough).copied().unwrap_or(0.0));
    let why = format!(
        "functions to keep of each l: the fewest with 99.99 % of the variance of the density, from {} to {most}; these keep \
         {kept:.3} %",
        Q_MAX.0
    );
    let basis = principal(settings, |sums| sums.leading(enough), &found.some, &[])?;
    Ok((Choice::new(enough, why), basis))
}

/// Whether there are energies alone, of several species, and few enough atoms for a kernel of all of them.
fn takes_kernel(found: &Found, learns_forces: bool) -> bool {
    !learns_forces && found.n_atoms <= MOST_ATOMS_OF_KERNEL && found.species.len() > 1
}

fn model(found: &Found, learns_forces: bool, q_max: usize, basis: &OptimalBasis) -> Result<Choice<Model>> {
    let several = found.species.len();
    if takes_kernel(found, learns_forces) {
        let rest = if found.forces > 0 { " (forces here are those of relaxed structures, nearly zero)" } else { "" };
        let why = format!(
            "energies alone{rest}, of several species, and few enough atoms for a kernel of all of them ({} of at most {})",
            count(found.n_atoms),
            count(MOST_ATOMS_OF_KERNEL)
        );
        return Ok(Choice::new(Model::Kernel, why));
    }
    let pairs = Member::new(FeatureKind::PowerSpectrum, false);
    let (q, l) = (OF_TRIPLES.0.min(q_max), OF_TRIPLES.1.min(basis.expansion().l_max()));
    let triples = Member { q_max: Some(q), l_max: Some(l), ..Member::new(FeatureKind::Bispectrum, false) };
    let number = |members: &[Member]| -> Result<usize> {
        Ok(several * Invariants::of_members(basis.expansion(), members)?.n_features())
    };
    let (few, many) = (number(std::slice::from_ref(&pairs))?, number(&[pairs.clone(), triples])?);
    let components = if learns_forces { 3 * found.n_atoms } else { 0 };
    let labels = found.energies + components + 6 * found.stresses;
    let enough = labels >= LABELS_PER_PARAMETER * many && many <= MOST_PARAMETERS;
    let n = if enough { many } else { few };
    let rest = match (labels < n, learns_forces) {
        (true, _) => "; what these do not tell, the regulariser decides",
        (false, true) => ", most of them of forces",
        (false, false) => "",
    };
    let why =
        format!("linear: the fastest to train and to run; {} parameters for {} labels{rest}", count(n), count(labels));
    Ok(Choice::new(Model::Linear { triples: enough }, why))
}

fn test_fraction(n_frames: usize) -> Choice<Option<f64>> {
    match n_frames {
        0..10 => Choice::new(None, "too few frames to hold some out: judge it with 'rhobasis evaluate --folds'"),
        10..500 => Choice::new(Some(0.2), "of the frames are held out, to tell how good it is on others"),
        _ => Choice::new(Some(0.1), "of the frames are held out, to tell how good it is on others"),
    }
}

fn baseline(found: &Found) -> Choice<bool> {
    match found.free_atoms {
        true => Choice::new(
            true,
            "frames of one atom alone are there for each species: dissociation ends at their energies",
        ),
        false => {
            Choice::new(false, "energies of atoms from a fit, as there is no frame of one atom alone for each species")
        }
    }
}

/// Of energies, forces, stresses.
fn sigmas(found: &Found, learns_forces: bool, model: Model) -> [Choice<Option<f64>>; 3] {
    let within = |x: f64, (least, most): (f64, f64)| one_digit(x.clamp(least, most));
    let energy = match (found.energies, found.energy_spread > 0.0) {
        (0, _) => Choice::new(None, "no frame has an energy"),
        (_, true) => Choice::new(
            Some(within(OF_SPREAD * found.energy_spread, ENERGY_SIGMAS)),
            format!("eV, times √atoms; a hundredth of how much energies vary, {:.3} eV/atom", found.energy_spread),
        ),
        (_, false) => Choice::new(Some(0.002), "eV, times √atoms; the default, as energies per atom are all alike"),
    };
    let size = |n: usize, learned: bool, size: f64, limits, what: &str, unit: &str| match (n, learned) {
        (0, _) => Choice::new(None, format!("no frame has {what}")),
        (_, false) if model == Model::Kernel => Choice::new(None, "a kernel of all atoms learns energies only"),
        (_, false) => Choice::new(None, format!("{what} of relaxed structures, nearly zero")),
        (_, true) => Choice::new(
            Some(within(OF_SIZE * size, limits)),
            format!("{unit}; a twentieth of the size of a component, {} {unit}", short(size)),
        ),
    };
    let force = size(found.forces, learns_forces, found.force_size, FORCE_SIGMAS, "forces", "eV/Å");
    let learns_stress = model != Model::Kernel;
    let stress = size(found.stresses, learns_stress, found.stress_size, STRESS_SIGMAS, "a stress", "eV/Å³");
    [energy, force, stress]
}

fn short(x: f64) -> String {
    if x >= 0.1 { format!("{x:.2}") } else { format!("{x:.1e}") }
}

/// With one digit.
fn one_digit(x: f64) -> f64 {
    format!("{x:.0e}").parse().unwrap_or(x)
}

fn rounded(x: f64, digits: usize) -> f64 {
    format!("{x:.digits$}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmas_have_one_digit() {
        assert_eq!([0.00234, 0.0451, 0.2].map(one_digit), [0.002, 0.05, 0.2]);
    }
}
