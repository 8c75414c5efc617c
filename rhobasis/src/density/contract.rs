//! Contraction of coefficients, Eqs. (7), (12), as a stage: forward, backward to the coefficients and to U, tangent.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::equivariants::{BlockKey, Center, Channel, Equivariants, groups};
use crate::linalg::{add_product, set_product};
use crate::structure::symbol;
use crate::{Error, Result};

/// U of one block, for one kind of centre, and one neighbour species or all together.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractionMatrix {
    /// Species of the centres; `None` for all.
    pub center: Option<u8>,
    /// Neighbour species whose channels it contracts; `None`: those of all species together.
    pub species: Option<u8>,
    /// Block of the coefficients.
    pub block: BlockKey,
    /// U: `[q, n]`, or `[q, (a, n)]`; its rows need not be orthonormal.
    pub u: Array2<f64>,
}

/// Combines the channels of coefficients, Eqs. (7) and (12), with U by hand or from
/// [`OptimalBasis::contraction`](crate::optimal::OptimalBasis::contraction).
///
/// ```text
/// ⟨aqlm|ρ_i⟩ = Σ_n  U_q;n   ⟨anlm|ρ_i⟩        Eq. (7), of each neighbour species a
/// ⟨qlm|ρ_i⟩  = Σ_an U_q;an  ⟨anlm|ρ_i⟩        Eq. (12), combined
/// ```
///
/// With `[center, m, channel]` both are c Uᵀ; per species U is block-diagonal, and centre-specific there is a U for each kind of
/// centre. Kinds of centre may keep different numbers of channels: those that a kind does not have are zero. Where the functions
/// are known beforehand, [`OptimalBasis::transform`](crate::optimal::OptimalBasis::transform) gives the same at less cost.
///
/// ```
/// use ndarray::array;
/// use rhobasis::density::{BlockKey, ChannelContraction, ContractionMatrix, ExpansionSettings, Primitive, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 1, ..Default::default() };
/// let expansion = SphericalExpansion::new(&settings, &[14])?;
/// let c = expansion.forward(&[Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, 2.4]])])?;
///
/// let u = |l, u| ContractionMatrix { center: None, species: Some(14), block: BlockKey::density(l), u };
/// let matrices = vec![u(0, array![[0.6, 0.8, 0.0], [0.8, -0.6, 0.0]]), u(1, array![[0.0, 0.6, 0.8]])];
/// let contraction = ChannelContraction::new(expansion.keys(), expansion.channels(), matrices)?;
/// let contracted = contraction.forward(&c)?;
/// assert_eq!(contracted.blocks[0].dim(), (2, 1, 2)); // centers, m, channels
///
/// // Of E = ½ Σ c²: dE/dc in the contracted channels is c itself.
/// let grad_c = contraction.backward(&contracted)?;
/// assert_eq!(grad_c.blocks[1].dim(), (2, 3, 3));
/// let grad_u = contraction.backward_to_u(&c, &contracted)?; // for each matrix
/// assert_eq!(grad_u[1].dim(), (1, 3));
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChannelContraction {
    keys: Vec<BlockKey>,
    /// Channels of each block before.
    primitive: Vec<Vec<Channel>>,
    /// And after.
    channels: Vec<Vec<Channel>>,
    matrices: Vec<ContractionMatrix>,
    /// Where each of them acts.
    places: Vec<Place>,
}

/// A block, and the channels from which and to which a matrix leads.
#[derive(Debug, Clone)]
struct Place {
    block: usize,
    from: Range<usize>,
    to: Range<usize>,
}

impl ChannelContraction {
    /// Contracts coefficients with these blocks, keys (σ, λ), and channels (species ascending, n fastest); channels that no matrix
    /// names are dropped.
    ///
    /// # Errors
    /// If a matrix names a block or a neighbour species that is not there, has another number of columns than these have
    /// channels, or contracts what another does.
    pub fn new(keys: &[BlockKey], channels: &[Vec<Channel>], matrices: Vec<ContractionMatrix>) -> Result<Self> {
        let (keys, primitive) = (keys.to_vec(), channels.to_vec());
        let channels: Vec<_> = keys.iter().map(|key| contracted_channels(&matrices, *key)).collect();
        let mut places: Vec<Place> = Vec::new();
        for (k, matrix) in matrices.iter().enumerate() {
            let refuse = |problem: String| {
                let remedy =
                    "give one matrix for each block, kind of centre and neighbour species, or for all together";
                Err(Error::setting("matrices", matrix.name(), problem, remedy))
            };
            let Some(block) = keys.iter().position(|key| *key == matrix.block).filter(|&block| block < primitive.len())
            else {
                return refuse("the coefficients have no such block".into());
            };
            let groups = groups(&primitive[block]).into_iter();
            let chosen = groups.filter(|group| matrix.species.is_none_or(|z| z == group.species));
            let Some(from) = chosen.map(|group| group.channels).reduce(|all, next| all.start..next.end) else {
                return refuse("the coefficients have no such channels".into());
            };
            if matrix.u.ncols() != from.len() {
                return refuse(format!("U has {} columns for {} channels", matrix.u.ncols(), from.len()));
            }
            let meets = |(other, its): &(&ContractionMatrix, &Place)| {
                let centers = other.center.is_none() || matrix.center.is_none() || other.center == matrix.center;
                centers && its.block == block && its.from.start < from.end && from.start < its.from.end
            };
            if let Some((other, _)) = matrices[..k].iter().zip(&places).find(meets) {
                return refuse(format!("its channels are those of {}, too", other.name()));
            }
            let to = channels[block].partition_point(|c| c.species < matrix.species.unwrap_or(0));
            places.push(Place { block, from, to: to..to + matrix.u.nrows() });
        }
        Ok(ChannelContraction { keys, primitive, channels, matrices, places })
    }

    /// Channels of each block of the result.
    pub fn channels(&self) -> &[Vec<Channel>] {
        &self.channels
    }

    /// The matrices, in the order in which they were given.
    pub fn matrices(&self) -> &[ContractionMatrix] {
        &self.matrices
    }

    /// Contracted coefficients, c Uᵀ.
    ///
    /// # Errors
    /// If the coefficients have other channels, or centres for which there is no U.
    pub fn forward(&self, c: &Equivariants) -> Result<Equivariants> {
        self.check("c", c, &self.primitive)?;
        let mut out = Equivariants::zeros(c.centers.clone(), c.keys.clone(), self.channels.clone());
        self.forward_rows(&species_of_centers(&c.centers), &slices(c)?, &mut slices_mut(&mut out));
        Ok(out)
    }

    /// dE/dc of the coefficients, given dE/dc of the contracted ones: the adjoint of [`ChannelContraction::forward`].
    ///
    /// # Errors
    /// As `forward`, of the contracted channels.
    pub fn backward(&self, grad_c: &Equivariants) -> Result<Equivariants> {
        self.check("grad_c", grad_c, &self.channels)?;
        let mut out = Equivariants::zeros(grad_c.centers.clone(), grad_c.keys.clone(), self.primitive.clone());
        self.backward_rows(&species_of_centers(&grad_c.centers), &slices(grad_c)?, &mut slices_mut(&mut out));
        Ok(out)
    }

    /// dE/dU of each matrix, given the coefficients and dE/dc of the contracted ones.
    ///
    /// ```text
    /// dE/dU_q;an = Σ_i Σ_m dE/dc_i[m, q] c_i[m, an]
    /// ```
    ///
    /// # Errors
    /// As `forward`.
    pub fn backward_to_u(&self, c: &Equivariants, grad_c: &Equivariants) -> Result<Vec<Array2<f64>>> {
        self.check("c", c, &self.primitive)?;
        self.check("grad_c", grad_c, &self.channels)?;
        check_same_centers(c, grad_c)?;
        let mut grad_u: Vec<Array2<f64>> = self.matrices.iter().map(|matrix| Array2::zeros(matrix.u.dim())).collect();
        self.backward_rows_to_u(&species_of_centers(&c.centers), &slices(c)?, &slices(grad_c)?, &mut grad_u);
        Ok(grad_u)
    }

    /// dc/dt of the contracted coefficients, given dc/dt of the coefficients and dU/dt of each matrix: ċ Uᵀ + c U̇ᵀ. Where U stays
    /// as it is, this is `forward` of `c_dot`.
    ///
    /// # Errors
    /// As `forward`, and if a matrix of `u_dot` has another shape than its U.
    pub fn tangent(&self, c: &Equivariants, c_dot: &Equivariants, u_dot: &[Array2<f64>]) -> Result<Equivariants> {
        self.check("c", c, &self.primitive)?;
        check_same_centers(c, c_dot)?;
        let fits = |(matrix, u_dot): (&ContractionMatrix, &Array2<f64>)| matrix.u.dim() == u_dot.dim();
        if u_dot.len() != self.matrices.len() || !self.matrices.iter().zip(u_dot).all(fits) {
            let problem = format!("one of the shape of each of the {} matrices U is needed", self.matrices.len());
            return Err(Error::setting("u_dot", format!("{} matrices", u_dot.len()), problem, "follow matrices()"));
        }
        let mut out = self.forward(c_dot)?;
        self.add_u_dot(&species_of_centers(&c.centers), &slices(c)?, u_dot, &mut slices_mut(&mut out));
        Ok(out)
    }

    /// Contracts `c[block]` `[center, m, channel]` of centres of these species into `out`.
    pub(crate) fn forward_rows(&self, centers: &[u8], c: &[&[f64]], out: &mut [&mut [f64]]) {
        out.iter_mut().for_each(|out| out.fill(0.0));
        self.visit(centers, |k, b, rows| {
            let Place { from, to, .. } = &self.places[k];
            let c = view(c[b], &self.primitive[b], &rows, from);
            set_product(view_mut(out[b], &self.channels[b], &rows, to), c, self.matrices[k].u.t());
        });
    }

    /// Pulls dE/dc of contracted coefficients back to `out`.
    pub(crate) fn backward_rows(&self, centers: &[u8], grad_c: &[&[f64]], out: &mut [&mut [f64]]) {
        out.iter_mut().for_each(|out| out.fill(0.0));
        self.visit(centers, |k, b, rows| {
            let Place { from, to, .. } = &self.places[k];
            let grad_c = view(grad_c[b], &self.channels[b], &rows, to);
            set_product(view_mut(out[b], &self.primitive[b], &rows, from), grad_c, self.matrices[k].u.view());
        });
    }

    /// Adds dE/dU of each matrix.
    pub(crate) fn backward_rows_to_u(
        &self,
        centers: &[u8],
        c: &[&[f64]],
        grad_c: &[&[f64]],
        grad_u: &mut [Array2<f64>],
    ) {
        self.visit(centers, |k, b, rows| {
            let Place { from, to, .. } = &self.places[k];
            let grad_c = view(grad_c[b], &self.channels[b], &rows, to);
            add_product(grad_u[k].view_mut(), 1.0, grad_c.t(), view(c[b], &self.primitive[b], &rows, from));
        });
    }

    /// Adds what moves with U.
    pub(crate) fn add_u_dot(&self, centers: &[u8], c: &[&[f64]], u_dot: &[Array2<f64>], out: &mut [&mut [f64]]) {
        self.visit(centers, |k, b, rows| {
            let Place { from, to, .. } = &self.places[k];
            let c = view(c[b], &self.primitive[b], &rows, from);
            add_product(view_mut(out[b], &self.channels[b], &rows, to), 1.0, c, u_dot[k].t());
        });
    }

    /// Calls `job` with each matrix, its block, and the rows `(i, m)` of consecutive centres of its kind.
    fn visit(&self, centers: &[u8], mut job: impl FnMut(usize, usize, Range<usize>)) {
        for (k, matrix) in self.matrices.iter().enumerate().filter(|(_, matrix)| !matrix.u.is_empty()) {
            let (block, n_m) = (self.places[k].block, matrix.block.n_components());
            let mut first = 0;
            for same in centers.chunk_by(|a, b| matrix.center.is_none() || a == b) {
                if matrix.center.is_none_or(|z| z == same[0]) {
                    job(k, block, first * n_m..(first + same.len()) * n_m);
                }
                first += same.len();
            }
        }
    }

    fn check(&self, name: &'static str, c: &Equivariants, channels: &[Vec<Channel>]) -> Result<()> {
        if c.keys != self.keys || c.channels != channels {
            let counts = |channels: &[Vec<Channel>]| -> Vec<usize> { channels.iter().map(Vec::len).collect() };
            let (found, needed) = (counts(&c.channels), counts(channels));
            let problem =
                format!("the blocks have {needed:?} channels here, of the species the contraction was made for");
            let remedy = "expand structures with the settings and species of the contraction";
            return Err(Error::setting(name, format!("{found:?} channels"), problem, remedy));
        }
        let known = |z: u8| self.matrices.iter().any(|matrix| matrix.center.is_none_or(|center| center == z));
        match c.centers.iter().find(|center| !known(center.species)) {
            None => Ok(()),
            Some(Center { structure, atom, species }) => {
                let problem = format!("there is no contraction for coefficients around {}", symbol(*species));
                let error =
                    Error::structure(Some(*atom), problem, "leave the frame out, or give matrices for this species");
                Err(error.at_frame(*structure))
            }
        }
    }
}

impl ContractionMatrix {
    fn name(&self) -> String {
        let BlockKey { sigma, lambda } = self.block;
        let around = self.center.map_or(String::new(), |z| format!(" around {}", symbol(z)));
        let of = self.species.map_or(String::new(), |z| format!(" of {} neighbours", symbol(z)));
        format!("block (σ = {sigma:+}, λ = {lambda}){of}{around}")
    }
}

/// Species ascending, q fastest; as many q as the kind of centre with the most has.
fn contracted_channels(matrices: &[ContractionMatrix], key: BlockKey) -> Vec<Channel> {
    let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
    for matrix in matrices.iter().filter(|matrix| matrix.block == key) {
        let count = counts.entry(matrix.species.unwrap_or(0)).or_default();
        *count = matrix.u.nrows().max(*count);
    }
    counts.into_iter().flat_map(|(species, count)| (0..count).map(move |n| Channel { species, n })).collect()
}

fn check_same_centers(c: &Equivariants, other: &Equivariants) -> Result<()> {
    if c.centers == other.centers {
        return Ok(());
    }
    let problem = format!("the coefficients have {} centres, and these must be the same", c.centers.len());
    let remedy = "give both for the same structures, in the same order";
    Err(Error::setting("centers", other.centers.len(), problem, remedy))
}

fn species_of_centers(centers: &[Center]) -> Vec<u8> {
    centers.iter().map(|center| center.species).collect()
}

fn slices(c: &Equivariants) -> Result<Vec<&[f64]>> {
    let strided =
        || Error::setting("blocks", "a strided array", "blocks must be contiguous", "give whole arrays in C order");
    c.blocks.iter().map(|block| block.as_slice().ok_or_else(strided)).collect()
}

fn slices_mut(c: &mut Equivariants) -> Vec<&mut [f64]> {
    c.blocks.iter_mut().map(|block| block.as_slice_mut().expect("a new array is contiguous")).collect()
}

/// Some rows `(i, m)` and channels of a block.
fn view<'a>(
    block: &'a [f64],
    channels: &[Channel],
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> ArrayView2<'a, f64> {
    let block = ArrayView2::from_shape((block.len() / channels.len(), channels.len()), block).expect("whole rows");
    block.slice_move(s![rows.clone(), columns.clone()])
}

fn view_mut<'a>(
    block: &'a mut [f64],
    channels: &[Channel],
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> ArrayViewMut2<'a, f64> {
    let block = ArrayViewMut2::from_shape((block.len() / channels.len(), channels.len()), block).expect("whole rows");
    block.slice_move(s![rows.clone(), columns.clone()])
}
