//! Coefficients of chosen centres, of chosen precision, with neighbours of known species alone.

use ndarray::ArrayViewMut3;

use super::centers::{Centers, Precision, round_to};
use super::expansion::{SphericalExpansion, contiguous};
use super::runs::Runs;
use crate::Result;
use crate::structure::Structure;

impl SphericalExpansion {
    /// [`SphericalExpansion::forward`] for some centres (all, if none are given), rounded to the precision of `out`, which is
    /// overwritten: block l has axes `[center, m, channel]`. No array of another precision as large exists.
    ///
    /// # Errors
    /// As for `forward`, and if the blocks have another shape or are not contiguous, or the centres are of other structures.
    pub fn forward_centers_to<P: Precision>(
        &self,
        structures: &[Structure],
        centers: Option<&Centers>,
        out: &mut [ArrayViewMut3<P>],
    ) -> Result<()> {
        let runs = self.runs_around(structures, centers)?;
        self.check_shape("out", runs.n_centers(), out.iter().map(|block| block.dim()).collect())?;
        let (rows, widths) = (contiguous(out)?, self.widths());
        runs.for_each(&self.shared.workspaces, rows, &widths, |run, out, work| {
            let mut blocks = std::mem::take(&mut work.blocks);
            blocks.resize(widths.len(), Vec::new());
            blocks.iter_mut().zip(&widths).for_each(|(block, width)| block.resize(run.len() * width, 0.0));
            self.forward_run(run, false, &mut blocks.iter_mut().map(|block| &mut block[..]).collect::<Vec<_>>(), work);
            blocks.iter().zip(out).for_each(|(block, out)| round_to(block, out));
            work.blocks = blocks;
            Ok(())
        })
    }

    /// The same, for which atoms of species that it does not know are no neighbours, instead of being refused. As centres they are
    /// refused still: their own density, which coefficients begin with, has no channel.
    #[must_use]
    pub fn ignoring_unknown_neighbors(&self) -> Self {
        let mut same = self.clone();
        same.groups.ignores_unknown = true;
        same
    }

    /// These centres of some structures (all, if none are given), cut into runs.
    ///
    /// # Errors
    /// If the centres are of other structures.
    pub(crate) fn runs_around<'a>(
        &'a self,
        structures: &'a [Structure],
        centers: Option<&Centers>,
    ) -> Result<Runs<'a>> {
        Runs::around(&self.groups, &self.shared.finders, structures, centers)
    }
}
