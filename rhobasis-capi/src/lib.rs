//! Potentials for engines written in C, C++ or Fortran: see `include/rhobasis.h`, which is made of this file.
//!
//! A potential is loaded, given the list of pairs that the engine keeps, and evaluated as often as atoms move. Lengths are in Å,
//! energies in eV. All work is done on the calling thread, for engines run a process on each core. No call ends the program: one
//! that fails says so, and [`rhobasis_error`] says why; what it was to write is then as it was.
#![warn(missing_docs)]

mod error;
mod pointers;

use std::ffi::c_char;
use std::path::Path;

use rhobasis::files::Stored;
use rhobasis::neighbors::VerletList;
use rhobasis::potential::{Beside, ClosePair, Potential};
use rhobasis::structure::{atomic_number, symbol};
use rhobasis::{Error, Structure, on_this_thread};

use error::guarded;
pub use error::{rhobasis_error, rhobasis_error_atom};
use pointers::{add, slice, text, triples};

/// A potential, with the pairs that the engine has listed. It serves one thread at a time.
pub struct Evaluator {
    potential: Potential,
    list: Option<VerletList>,
    atoms: Structure,
    /// What the last evaluation found nearer to each other than in training.
    close: Option<ClosePair>,
}

/// Reads a potential, as 'rhobasis train' writes it. NULL on failure. To be given to rhobasis_free in the end.
///
/// # Safety
/// `path` is a text that ends with 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_load(path: *const c_char) -> *mut Evaluator {
    let loaded = guarded(|| {
        let path = Path::new(unsafe { text(path, "path") }?);
        // One thread, as long as it takes: tables are made by as many as there are.
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let potential = match one {
            Ok(one) => one.install(|| Potential::load(path)),
            Err(_) => Potential::load(path),
        }?;
        let atoms = Structure::molecule(Vec::new(), Vec::new());
        Ok(Box::into_raw(Box::new(Evaluator { potential, list: None, atoms, close: None })))
    });
    loaded.unwrap_or(std::ptr::null_mut())
}

/// Frees what rhobasis_load gave; NULL is left alone.
///
/// # Safety
/// `potential` is from `rhobasis_load` and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_free(potential: *mut Evaluator) {
    if !potential.is_null() {
        drop(unsafe { Box::from_raw(potential) });
    }
}

/// Distance beyond which atoms do not see each other, in Å.
///
/// # Safety
/// `potential` is from `rhobasis_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_cutoff(potential: *const Evaluator) -> f64 {
    unsafe { potential.as_ref() }.map_or(0.0, |evaluator| evaluator.potential.r_cut())
}

/// Writes the atomic numbers that it knows, ascending, and returns how many there are.
///
/// # Safety
/// `potential` is from `rhobasis_load`; `species` has room for 128.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_species(potential: *const Evaluator, species: *mut u8) -> usize {
    let Some(evaluator) = (unsafe { potential.as_ref() }) else { return 0 };
    let known = evaluator.potential.species();
    unsafe { std::ptr::copy_nonoverlapping(known.as_ptr(), species, known.len()) };
    known.len()
}

/// Atomic number of a chemical symbol, as in "Si"; 0 if there is no such element, or the potential does not know it.
///
/// # Safety
/// `potential` is from `rhobasis_load`; `symbol` is a text that ends with 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_element(potential: *const Evaluator, symbol: *const c_char) -> u8 {
    let found = guarded(|| {
        let (name, evaluator) = (unsafe { text(symbol, "symbol") }?, unsafe { potential.as_ref() });
        let known = evaluator.map_or(&[][..], |evaluator| evaluator.potential.species());
        known.iter().copied().find(|&z| atomic_number(name) == Some(z)).ok_or_else(|| unknown(name, known))
    });
    found.unwrap_or(0)
}

fn unknown(name: &str, known: &[u8]) -> Error {
    let known: Vec<&str> = known.iter().map(|&z| symbol(z)).collect();
    let problem = format!("the potential was trained on {} only", known.join(", "));
    Error::setting("element", name, problem, "name one of these, or train it on such atoms")
}

/// Adopts the list of pairs that the engine has made, until the next one. Atoms 0 to n_centers - 1 are centres, whose energies are
/// wanted, and neighbor[start[i]] to neighbor[start[i + 1] - 1] are all atoms nearer to centre i than the cutoff; atoms further
/// away may be among them, i itself may not. Images of centres are atoms of their own, with an index from n_centers on. Both
/// arrays are copied. Returns 0, or -1 on failure.
///
/// # Safety
/// `potential` is from `rhobasis_load`; `start` has n_centers + 1 numbers, `neighbor` as many as the last of them says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_set_neighbors(
    potential: *mut Evaluator,
    n_centers: usize,
    start: *const usize,
    neighbor: *const u32,
) -> i32 {
    done(guarded(|| {
        let evaluator = unsafe { pointers::object(potential) }?;
        let start = unsafe { slice(start, n_centers + 1, "start") }?;
        let neighbor = unsafe { slice(neighbor, start[n_centers], "neighbor") }?;
        evaluator.list = None; // in case of failure: of other atoms is worse than none
        evaluator.list = Some(VerletList::given(evaluator.potential.r_cut(), start, neighbor)?);
        Ok(())
    }))
}

/// Energy of the centres, forces on all atoms, and the virial, for atoms at these positions, of which the list was told by
/// rhobasis_set_neighbors. Results are added to what stands in the arrays; NULL leaves one out.
///
/// - species: atomic number of each atom. positions: x, y, z of each.
/// - energy: their sum, that of free atoms included. energies: of each centre.
/// - forces: x, y, z for each atom; those of images are to be added to the atoms that they are images of.
/// - virial: W = -dE/dstrain, xx xy xz yx yy yz zx zy zz, symmetric; the pressure is trace(W)/3V without motion.
/// - virials: nine numbers for each atom j, W_j = -sum over i of r_ji (x) dE_i/dr_ji with r_ji = r_j - r_i, whose first index
///   goes with r_ji; their sum is W. The flux of heat that forces carry is the sum of W_j v_j.
/// - extrapolation: how far each centre lies outside of what the potential was trained on; above 1 it extrapolates. It costs some
///   20 % of a call; NULL costs nothing. Kernel ridge models do not know it.
///
/// Returns 0, or -1 on failure.
///
/// # Safety
/// `potential` is from `rhobasis_load`; arrays are as long as they are said to be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_evaluate(
    potential: *mut Evaluator,
    n_atoms: usize,
    species: *const u8,
    positions: *const f64,
    energy: *mut f64,
    energies: *mut f64,
    forces: *mut f64,
    virial: *mut f64,
    virials: *mut f64,
    extrapolation: *mut f64,
) -> i32 {
    done(guarded(|| {
        let Evaluator { potential, list, atoms, close } = unsafe { pointers::object(potential) }?;
        let Some(list) = list else {
            let remedy = "call rhobasis_set_neighbors first";
            return Err(Error::setting("neighbors", "none", "the pairs of atoms are not known", remedy));
        };
        atoms.species.clear();
        atoms.species.extend_from_slice(unsafe { slice(species, n_atoms, "species") }?);
        atoms.positions.clear();
        atoms.positions.extend_from_slice(unsafe { triples(positions, n_atoms, "positions") }?);
        let beside = Beside { virials: !virials.is_null(), extrapolation: !extrapolation.is_null() };
        let prediction = on_this_thread(|| potential.evaluate_with(atoms, list, beside))?;
        *close = prediction.close;
        unsafe {
            add(energy, &[prediction.energy]);
            add(energies, &prediction.energies);
            add(forces, prediction.forces.as_flattened());
            add(virial, prediction.virial.as_slice().unwrap_or_default());
            add(virials, prediction.virials.as_flattened().as_flattened());
            add(extrapolation, &prediction.extrapolation);
        }
        Ok(())
    }))
}

/// Whether two atoms of the last evaluation are nearer to each other than any of their species were in training, so that its results
/// are a guess: 1 if so, else 0. Of the worst pair, writes the indices of both atoms into atoms, and into distances theirs and the
/// smallest of training, which is 0 if no training frame had such a pair within the cutoff.
///
/// # Safety
/// `potential` is from `rhobasis_load`; `atoms` and `distances` have room for two.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rhobasis_close(potential: *const Evaluator, atoms: *mut usize, distances: *mut f64) -> i32 {
    let Some(close) = (unsafe { potential.as_ref() }).and_then(|evaluator| evaluator.close) else { return 0 };
    let lengths = [close.distance, close.smallest.unwrap_or(0.0)];
    unsafe {
        std::ptr::copy_nonoverlapping(close.atoms.as_ptr(), atoms, 2);
        std::ptr::copy_nonoverlapping(lengths.as_ptr(), distances, 2);
    }
    1
}

/// Version of the library, as in "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn rhobasis_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

fn done(result: Option<()>) -> i32 {
    if result.is_some() { 0 } else { -1 }
}
