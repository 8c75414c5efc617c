//! How many channels an order of correlation needs, and what is lost: truncation with a guarantee, Eq. (20).

use ndarray::Array2;

use super::spectrum_norms::{Kept, SpectrumNorms};
use crate::optimal::{Contraction, KindOfBasis, NU, OptimalBasis, Truncation, ranked};
use crate::{Error, Result};

/// Truncations that are tried in one pass over the data.
const AT_ONCE: usize = 12;

/// What is asked of a truncation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Order of correlation ν: 2 for power spectra, 3 for bispectra.
    pub nu: usize,
    /// Fraction of Σ_i |ρ_i^⊗ν|² that is to be kept.
    pub retain: f64,
    /// Whether it is to be kept of the invariant part, rather than of the full equivariant spectrum.
    pub invariant: bool,
}

/// One truncation, and the fractions it retains at ν = 1, 2, … up to that of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    /// The [`Truncation::Retain`] that keeps these channels.
    pub retain: f64,
    /// Channels of all l and species (the most of any kind of centre).
    pub channels: usize,
    /// Channels of each block.
    pub kept: Kept,
    /// Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν}; empty without data.
    pub equivariant: Vec<f64>,
    /// Σ_i |inv_ν(P c_i)|² / Σ_i |inv_ν(c_i)|²; empty unless asked for.
    pub invariant: Vec<f64>,
    /// (Σ_i |P c_i|² / Σ_i |c_i|²)^ν, the dotted law of Fig. 4.
    pub approximate: Vec<f64>,
}

/// The fewest channels along the order of the eigenvalues that reach a target, and others to compare with.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What was asked for.
    pub target: Target,
    /// Truncations that were tried, fewest channels first.
    pub rows: Vec<PlanRow>,
    /// Which of them is the answer.
    pub chosen: usize,
    /// Whether fractions are exact (for the data they were computed on) rather than those of the dotted law.
    pub exact: bool,
}

impl Plan {
    /// The answer.
    pub fn answer(&self) -> &PlanRow {
        &self.rows[self.chosen]
    }

    /// The exact plan: `add_data` adds the data to the sums, and is called a few times.
    ///
    /// Truncations are those of [`Truncation::Retain`], so that the answer can be acted on; what is retained can only grow
    /// along them, for any ν. The guarantee holds for the data that were added, relative to the channels that `basis` keeps.
    ///
    /// # Errors
    /// If the target makes no sense, there are no data, or adding them fails.
    pub fn exact(
        basis: &OptimalBasis,
        target: Target,
        mut add_data: impl FnMut(&mut SpectrumNorms) -> Result<()>,
    ) -> Result<Plan> {
        target.validate(basis)?;
        let path = Path::of(basis);
        let nus: Vec<usize> = (1..=target.nu).collect();
        let mut rows: Vec<(usize, PlanRow)> = Vec::new();
        let mut next = path.overview();
        while !next.is_empty() {
            let mut truncations: Vec<Kept> = next.iter().map(|&k| path.kept(k)).collect();
            truncations.push(everything(basis));
            let mut norms = SpectrumNorms::of_truncations(basis, &truncations, &nus, target.invariant)?;
            add_data(&mut norms)?;
            let equivariant = fractions(&norms.equivariant())?;
            let invariant = norms.invariant().map(|sums| fractions(&sums)).transpose()?;
            for (t, &k) in next.iter().enumerate() {
                let mut row = path.row(k);
                row.equivariant = equivariant.row(t).to_vec();
                row.invariant = invariant.as_ref().map_or(Vec::new(), |f| f.row(t).to_vec());
                row.approximate = powers(row.equivariant[0], target.nu);
                rows.push((k, row));
            }
            rows.sort_by_key(|(k, _)| *k);
            let reached = rows.iter().position(|(_, row)| target.reached(row)).unwrap_or(rows.len() - 1);
            let below = if reached == 0 { None } else { Some(rows[reached - 1].0) };
            next = between(below, rows[reached].0);
        }
        Ok(Plan::from_rows(target, rows, true))
    }

    /// The plan that eigenvalues alone allow, by the dotted law.
    ///
    /// # Errors
    /// If the target makes no sense, or asks for invariants, of which eigenvalues know nothing, or if the eigenvalues are those
    /// of a weighted density.
    pub fn approximate(basis: &OptimalBasis, target: Target) -> Result<Plan> {
        target.validate(basis)?;
        if target.invariant {
            let problem = "eigenvalues alone do not tell what invariants retain";
            return Err(Error::setting("invariant", true, problem, "give data too"));
        }
        if basis.settings().weighting.is_some() {
            let problem = "its eigenvalues are those of a weighted density, not of the one that features are made of";
            return Err(Error::setting("basis", "weighted", problem, "give data too"));
        }
        let path = Path::of(basis);
        let total = variance(basis.kinds(), &everything(basis));
        let row = |k: usize| {
            let mut row = path.row(k);
            row.approximate = powers((variance(basis.kinds(), &row.kept) / total).min(1.0), target.nu);
            row
        };
        let mut rows: Vec<(usize, PlanRow)> = path.overview().into_iter().map(|k| (k, row(k))).collect();
        let mut next = vec![0];
        while !next.is_empty() {
            let reached = rows.iter().position(|(_, row)| target.reached(row)).unwrap_or(rows.len() - 1);
            let below = if reached == 0 { None } else { Some(rows[reached - 1].0) };
            next = between(below, rows[reached].0);
            rows.extend(next.iter().map(|&k| (k, row(k))));
            rows.sort_by_key(|(k, _)| *k);
        }
        Ok(Plan::from_rows(target, rows, false))
    }

    fn from_rows(target: Target, rows: Vec<(usize, PlanRow)>, exact: bool) -> Plan {
        let mut rows: Vec<PlanRow> = rows.into_iter().map(|(_, row)| row).collect();
        rows.dedup_by(|a, b| a.kept == b.kept);
        let chosen = rows.iter().position(|row| target.reached(row)).unwrap_or(rows.len() - 1);
        Plan { target, rows, chosen, exact }
    }
}

impl Target {
    fn validate(&self, basis: &OptimalBasis) -> Result<()> {
        NU.check(self.nu)?;
        if basis.settings().nu != 1 {
            let problem =
                format!("the basis was made for nu = {}, whose channels a plan does not rank", basis.settings().nu);
            let remedy = "plan with the basis made for nu = 1, and make the other with the same retain";
            return Err(Error::setting("basis", "adapted", problem, remedy));
        }
        Truncation::Retain(self.retain).validate(1, "")
    }

    /// What a truncation retains by the law that this target is about.
    pub fn retained(&self, row: &PlanRow) -> f64 {
        let law = [&row.invariant, &row.equivariant, &row.approximate].into_iter().find(|law| !law.is_empty());
        law.and_then(|law| law.get(self.nu - 1)).copied().unwrap_or(0.0)
    }

    fn reached(&self, row: &PlanRow) -> bool {
        self.retained(row) >= self.retain
    }
}

/// The first q channels of each block, as many as there are.
pub fn leading_channels(basis: &OptimalBasis, q: usize) -> Kept {
    everything(basis).into_iter().map(|counts| counts.into_iter().map(|n| n.min(q)).collect()).collect()
}

/// All channels that a basis keeps.
pub fn everything(basis: &OptimalBasis) -> Kept {
    basis.kinds().iter().map(|k| k.blocks.iter().map(|b| b.contraction.u.nrows()).collect()).collect()
}

/// Rows divided by the last.
fn fractions(sums: &Array2<f64>) -> Result<Array2<f64>> {
    let all = sums.row(sums.nrows() - 1);
    if all.iter().any(|&sum| sum.is_nan() || sum <= 0.0) {
        let problem = "their density has no variance at all";
        return Err(Error::setting("structures", 0, problem, "give some structures whose atoms have neighbours"));
    }
    Ok(sums / &all)
}

fn powers(fraction: f64, nu: usize) -> Vec<f64> {
    (1..=nu).map(|nu| fraction.powi(nu as i32)).collect()
}

/// Numbers between two, both not included: all, or some of them.
fn between(below: Option<usize>, above: usize) -> Vec<usize> {
    let first = below.map_or(0, |k| k + 1);
    let n = above - first;
    if n <= AT_ONCE {
        return (first..above).collect();
    }
    let mut some: Vec<usize> = (1..=AT_ONCE).map(|j| first + j * n / (AT_ONCE + 1)).collect();
    some.dedup();
    some
}

/// Variance that these channels hold in the covariance of the basis.
fn variance(kinds: &[KindOfBasis], kept: &Kept) -> f64 {
    let of_kind = |(kind, counts): (&KindOfBasis, &Vec<usize>)| {
        let blocks = kind.blocks.iter().zip(counts);
        kind.n_centers as f64 * blocks.map(|(b, &n)| b.contraction.eigenvalues[..n].iter().sum::<f64>()).sum::<f64>()
    };
    kinds.iter().zip(kept).map(of_kind).sum()
}

/// Truncations in the order of the eigenvalues: fractions that [`Truncation::Retain`] tells apart.
struct Path<'a> {
    basis: &'a OptimalBasis,
    retain: Vec<f64>,
}

impl<'a> Path<'a> {
    fn of(basis: &'a OptimalBasis) -> Self {
        let mut steps = vec![1.0];
        for kind in basis.kinds() {
            let blocks: Vec<&Contraction> = kind.blocks.iter().map(|b| &b.contraction).collect();
            let of = |(block, q): (usize, usize)| (blocks[block].eigenvalues[q], q < blocks[block].u.nrows());
            let all: Vec<(f64, bool)> = ranked(&blocks).into_iter().map(of).collect();
            let total: f64 = all.iter().map(|(e, _)| e).sum();
            let mut sum = 0.0;
            for (e, kept) in all {
                sum += e;
                steps.extend((kept && sum < total).then_some(sum / total));
            }
        }
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        let below = std::iter::once(0.0).chain(steps.iter().copied());
        let mut retain: Vec<f64> = below.zip(&steps).map(|(below, &above)| shortest(below, above)).collect();
        retain.dedup();
        Path { basis, retain }
    }

    fn kept(&self, k: usize) -> Kept {
        let of_kind = |(kind, most): (&KindOfBasis, Vec<usize>)| {
            let blocks: Vec<&Contraction> = kind.blocks.iter().map(|b| &b.contraction).collect();
            let counts = Truncation::Retain(self.retain[k]).counts(&blocks);
            counts.into_iter().zip(most).map(|(count, most)| count.min(most)).collect()
        };
        self.basis.kinds().iter().zip(everything(self.basis)).map(of_kind).collect()
    }

    fn row(&self, k: usize) -> PlanRow {
        let kept = self.kept(k);
        let n_blocks = kept.first().map_or(0, Vec::len);
        let most = |b: usize| kept.iter().map(|counts| counts[b]).max().unwrap_or(0);
        PlanRow {
            retain: self.retain[k],
            channels: (0..n_blocks).map(most).sum(),
            kept,
            equivariant: Vec::new(),
            invariant: Vec::new(),
            approximate: Vec::new(),
        }
    }

    /// Some truncations over the whole range, the last included.
    fn overview(&self) -> Vec<usize> {
        let n = self.retain.len();
        let step = |j: usize| (n as f64).powf(j as f64 / AT_ONCE as f64).round() as usize - 1;
        let mut some: Vec<usize> = (0..=AT_ONCE).map(step).collect();
        some.dedup();
        some
    }
}

/// The shortest decimal number above `below` and at most `above`.
fn shortest(below: f64, above: f64) -> f64 {
    for digits in 1..=15 {
        let text = format!("{above:.digits$}");
        let Ok(rounded) = text.parse::<f64>() else { break };
        let down = if rounded > above { rounded - 0.1_f64.powi(digits as i32) } else { rounded };
        let down: f64 = format!("{down:.digits$}").parse().unwrap_or(above);
        if down > below && down <= above {
            return down;
        }
    }
    above
}
