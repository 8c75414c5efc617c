//! From a part of a structure to coefficients, and from these to their Gram matrices.

use std::collections::BTreeSet;

use super::gram::Gram;
use super::settings::{CovarianceSettings, Mixing};
use crate::density::{BlockKey, Group, SphericalExpansion, Workspace, groups, species_of};
use crate::neighbors::Search;
use crate::stream::Part;
use crate::structure::{Structure, symbol, symbols};
use crate::{Error, Result};

/// Centres of one structure that are expanded at once: their coefficients are what a thread has to hold.
pub(super) const CENTERS: usize = 256;

/// Buffers that one thread reuses from part to part.
pub(super) struct Buffers {
    /// Index of the structure that search, expansion and groups were made for.
    prepared_for: Option<usize>,
    search: Search,
    /// Cut down to the species of the structure.
    expansion: SphericalExpansion,
    /// Groups of the channels of each block.
    groups: Vec<Vec<Group>>,
    workspace: Workspace,
    /// Coefficients of each block: `[center, m, channel]`.
    c: Vec<Vec<f64>>,
    /// Those around one species.
    of_center: Vec<f64>,
    gram: Vec<f64>,
}

impl Buffers {
    pub fn new(template: &SphericalExpansion) -> Self {
        Buffers {
            prepared_for: None,
            search: Search::default(),
            expansion: template.clone(),
            groups: Vec::new(),
            workspace: Workspace::default(),
            c: vec![Vec::new(); template.l_max() + 1],
            of_center: Vec::new(),
            gram: Vec::new(),
        }
    }

    /// Adds the Gram matrices of a part, with a weight for each of its centres.
    pub fn add_part(
        &mut self,
        settings: &CovarianceSettings,
        template: &SphericalExpansion,
        part: &Part,
        weights: Option<&[f64]>,
        sum: &mut Gram,
    ) -> Result<()> {
        if self.prepared_for != Some(part.index) {
            self.prepared_for = None;
            self.prepare(template, part.structure)?;
            self.prepared_for = Some(part.index);
        }
        self.expand(part)?;
        let centers = &part.structure.species[part.centers.clone()];
        let kinds: BTreeSet<u8> = if settings.center_specific { centers.iter().copied().collect() } else { [0].into() };
        for (l, (c, groups)) in self.c.iter_mut().zip(&self.groups).enumerate().filter(|(_, (c, _))| !c.is_empty()) {
            let row = c.len() / centers.len();
            if let Some(weights) = weights {
                for (c, weight) in c.chunks_exact_mut(row).zip(weights) {
                    c.iter_mut().for_each(|c| *c *= weight.sqrt());
                }
            }
            let together = if settings.mixing == Mixing::Combined { groups.len() } else { 1 };
            for &kind in &kinds {
                let c = if kind == 0 { &c[..] } else { rows_of(c, row, centers, kind, &mut self.of_center) };
                sum.add(kind, BlockKey::density(l), c, groups, together, &mut self.gram);
            }
        }
        for &z in centers {
            *sum.n_centers.entry(if settings.center_specific { z } else { 0 }).or_default() += 1;
        }
        Ok(())
    }

    fn prepare(&mut self, template: &SphericalExpansion, structure: &Structure) -> Result<()> {
        structure.validate()?;
        self.search.update(structure, template.density().r_cut)?;
        self.expansion = template.for_species(&species_of(std::slice::from_ref(structure))).ok_or_else(|| {
            let atom = structure.species.iter().position(|z| !template.species().contains(z));
            let missing = symbol(atom.map_or(0, |i| structure.species[i]));
            let problem = format!("sigma has no width for {missing} (only for {})", symbols(template.species()));
            Error::structure(atom, problem, "add this species to sigma, or give one number for all")
        })?;
        self.groups = self.expansion.channels().iter().map(|channels| groups(channels)).collect();
        Ok(())
    }

    /// ⟨anlm|ρ_i⟩ of the centres of a part, Eq. (4), to `c`.
    fn expand(&mut self, part: &Part) -> Result<()> {
        for (l, (c, channels)) in self.c.iter_mut().zip(self.expansion.channels()).enumerate() {
            c.resize(part.centers.len() * (2 * l + 1) * channels.len(), 0.0);
        }
        let blocks = self.c.iter_mut().map(|c| &mut c[..]).collect();
        self.expansion.forward_atoms(part.structure, part.centers.clone(), &self.search, blocks, &mut self.workspace)
    }
}

/// The rows of the centres of one species.
fn rows_of<'b>(c: &[f64], row: usize, centers: &[u8], species: u8, buffer: &'b mut Vec<f64>) -> &'b [f64] {
    buffer.clear();
    for (c, _) in c.chunks_exact(row).zip(centers).filter(|(_, z)| **z == species) {
        buffer.extend_from_slice(c);
    }
    buffer
}
