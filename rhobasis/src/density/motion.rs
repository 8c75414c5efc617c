//! What coefficients have to do with the motion of atoms: forces and virial from dE/dr_ji, and motions to differentiate along.

use std::ops::Range;

use ndarray::Array2;

use super::run::Run;
use crate::structure::{Structure, Vec3, periodicity};
use crate::{Error, Result};

/// What a gradient with respect to coefficients means for the atoms of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjoint {
    /// −dE/dr of each atom, in the energy unit per Å.
    pub forces: Vec<Vec3>,
    /// −dE/dε for r → r(1 + ε), cell → cell(1 + ε) with row vectors; the first index goes with r.
    pub virial: Array2<f64>,
    /// What each atom contributes to the virial as a neighbour; empty if not asked for.
    pub(crate) atom_virials: Vec<[Vec3; 3]>,
}

impl Adjoint {
    fn at_rest(structure: &Structure, atom_virials: bool) -> Self {
        let n = structure.len();
        let atom_virials = vec![[[0.0; 3]; 3]; if atom_virials { n } else { 0 }];
        Adjoint { forces: vec![[0.0; 3]; n], virial: Array2::zeros((3, 3)), atom_virials }
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.forces.as_flattened().iter().chain(&self.virial).all(|x| x.is_finite())
    }

    /// Stress +(1/V) dE/dε in the energy unit per Å³.
    ///
    /// # Errors
    /// Unless the structure is periodic in all three directions.
    pub fn stress(&self, structure: &Structure) -> Result<Array2<f64>> {
        stress_of(&self.virial, structure)
    }
}

/// Stress that belongs to a virial; see [`Adjoint::stress`].
pub(crate) fn stress_of(virial: &Array2<f64>, structure: &Structure) -> Result<Array2<f64>> {
    if structure.pbc != [true; 3] {
        return Err(Error::structure(
            None,
            format!("stress needs a volume, but pbc is {}", periodicity(structure.pbc)),
            "use the virial, or a cell that is periodic in all three directions",
        ));
    }
    Ok(virial / -structure.volume())
}

/// A motion of one structure, along which coefficients are differentiated.
#[derive(Debug, Clone, PartialEq)]
pub struct Motion {
    /// dr/dt of each atom, in Å per unit of t.
    pub velocities: Vec<Vec3>,
    /// dε/dt of the whole structure: r → r(1 + ε), cell → cell(1 + ε) with row vectors; the first index goes with r.
    pub strain: [Vec3; 3],
}

impl Motion {
    /// Refuses motions that do not belong to the structures, or are not finite.
    pub(crate) fn check(structures: &[Structure], motions: &[Motion]) -> Result<()> {
        if motions.len() != structures.len() {
            let problem = format!("one motion per structure is needed, and there are {}", structures.len());
            return Err(Error::setting("motions", motions.len(), problem, "give them in the order of the structures"));
        }
        for (s, (structure, motion)) in structures.iter().zip(motions).enumerate() {
            if motion.velocities.len() != structure.len() {
                let problem = format!("{} velocities for {} atoms", motion.velocities.len(), structure.len());
                return Err(Error::structure(None, problem, "give one velocity per atom").at_frame(s));
            }
            if let Some(atom) = motion.velocities.iter().position(|v| !v.iter().all(|x| x.is_finite())) {
                let problem = format!("velocity {:?} is not finite", motion.velocities[atom]);
                return Err(Error::structure(Some(atom), problem, "repair it").at_frame(s));
            }
            if !motion.strain.as_flattened().iter().all(|x| x.is_finite()) {
                let problem = format!("strain {:?} is not finite", motion.strain);
                return Err(Error::structure(None, problem, "repair it").at_frame(s));
            }
        }
        Ok(())
    }
}

/// Forces and virials that the runs of one task make.
///
/// ```text
/// −dE/dr_i = Σ_j dE/dr_ji − Σ_j dE/dr_ij        −dE/dε_pq = −Σ_ij (r_ji)_p (dE/dr_ji)_q
/// ```
///
/// and, where asked for, the part of the latter that belongs to atom j as a neighbour, −Σ_i (r_ji)_p (dE/dr_ji)_q.
pub(super) struct Gathered {
    /// Whether virials of atoms are asked for.
    atom_virials: bool,
    /// Whether other tasks have centres of the same structure: then these wait for each other, to be added in order.
    shares: bool,
    /// Adjoints of whole structures, the last of which has this index.
    whole: Vec<Adjoint>,
    last: Option<usize>,
    parts: Vec<PartOfStructure>,
}

/// What some centres of a large structure contribute.
struct PartOfStructure {
    structure: usize,
    centers: Range<usize>,
    of_centers: Vec<Vec3>,
    virial: Array2<f64>,
    /// Atom j and dE/dr_ji of each pair, and r_ji where virials of atoms are asked for.
    neighbors: Vec<u32>,
    gradient: Vec<Vec3>,
    vectors: Vec<Vec3>,
}

impl Gathered {
    pub fn new(shares: bool, atom_virials: bool) -> Self {
        Gathered { atom_virials, shares, whole: Vec::new(), last: None, parts: Vec::new() }
    }

    /// Adds a run, given dE/dr_ji of its pairs.
    pub fn add(&mut self, structures: &[Structure], run: &Run, gradient: &[Vec3]) {
        let mut first = 0;
        for part in &run.parts {
            let (s, centers) = (part.structure, part.atoms.clone());
            let rows = first..first + centers.len();
            first = rows.end;
            let pairs = match rows.is_empty() {
                true => 0..0,
                false => run.pairs.of_center(rows.start).start..run.pairs.of_center(rows.end - 1).end,
            };
            let vectors = if self.atom_virials { &run.pairs.vector[pairs.clone()] } else { &[] };
            let (neighbors, of_pairs) = (&run.pairs.atom[pairs.clone()], &gradient[pairs]);
            if self.shares {
                let (mut of_centers, mut virial) = (vec![[0.0; 3]; centers.len()], Array2::zeros((3, 3)));
                add_to_centers(run, rows, gradient, &mut of_centers, &mut virial);
                let (neighbors, gradient, vectors) = (neighbors.to_vec(), of_pairs.to_vec(), vectors.to_vec());
                let part = PartOfStructure { structure: s, centers, of_centers, virial, neighbors, gradient, vectors };
                self.parts.push(part);
                continue;
            }
            if self.last != Some(s) {
                self.whole.push(Adjoint::at_rest(&structures[s], self.atom_virials));
                self.last = Some(s);
            }
            let Some(Adjoint { forces, virial, atom_virials }) = self.whole.last_mut() else { continue };
            add_to_centers(run, rows, gradient, &mut forces[centers], virial);
            subtract_from_neighbors(neighbors, of_pairs, forces);
            add_to_virials(neighbors, vectors, of_pairs, atom_virials);
        }
    }

    /// The adjoints of all structures, from those of all tasks in order.
    pub fn joined(structures: &[Structure], tasks: Vec<Gathered>) -> Vec<Adjoint> {
        let mut adjoints: Vec<Adjoint> = Vec::with_capacity(structures.len());
        for task in tasks {
            adjoints.extend(task.whole);
            for part in task.parts {
                if adjoints.len() == part.structure {
                    adjoints.push(Adjoint::at_rest(&structures[part.structure], task.atom_virials));
                }
                let Adjoint { forces, virial, atom_virials } = &mut adjoints[part.structure];
                for (force, sum) in forces[part.centers].iter_mut().zip(&part.of_centers) {
                    (0..3).for_each(|d| force[d] += sum[d]);
                }
                *virial += &part.virial;
                subtract_from_neighbors(&part.neighbors, &part.gradient, forces);
                add_to_virials(&part.neighbors, &part.vectors, &part.gradient, atom_virials);
            }
        }
        adjoints
    }
}

/// Adds Σ_j dE/dr_ji to −dE/dr_i of each centre, and Σ −r_p dE/dr_q to −dE/dε.
fn add_to_centers(run: &Run, rows: Range<usize>, gradient: &[Vec3], forces: &mut [Vec3], virial: &mut Array2<f64>) {
    let mut moments = [[0.0; 3]; 3];
    for (row, force) in rows.zip(forces) {
        let pairs = run.pairs.of_center(row);
        let mut sum = [0.0; 3];
        for (r, g) in run.pairs.vector[pairs.clone()].iter().zip(&gradient[pairs]) {
            for q in 0..3 {
                sum[q] += g[q];
                for p in 0..3 {
                    moments[p][q] += r[p] * g[q];
                }
            }
        }
        (0..3).for_each(|q| force[q] += sum[q]);
    }
    virial.indexed_iter_mut().for_each(|((p, q), virial)| *virial -= moments[p][q]);
}

/// Adds −dE/dr_ji to −dE/dr_j of each neighbour, in the order of the pairs.
fn subtract_from_neighbors(neighbors: &[u32], gradient: &[Vec3], forces: &mut [Vec3]) {
    for (&j, g) in neighbors.iter().zip(gradient) {
        let force = &mut forces[j as usize];
        (0..3).for_each(|d| force[d] -= g[d]);
    }
}

/// Adds −r_ji ⊗ dE/dr_ji to the virial of each neighbour, in the order of the pairs; nothing where there are no vectors.
fn add_to_virials(neighbors: &[u32], vectors: &[Vec3], gradient: &[Vec3], virials: &mut [[Vec3; 3]]) {
    for ((&j, r), g) in neighbors.iter().zip(vectors).zip(gradient) {
        let virial = &mut virials[j as usize];
        for p in 0..3 {
            (0..3).for_each(|q| virial[p][q] -= r[p] * g[q]);
        }
    }
}
