//! Features of all frames, some frames at a time, in memory that is stated beforehand.

use std::ops::Range;

use rhobasis::Result;
use rhobasis::density::{Center, centers_of};
use rhobasis::extxyz::{Chunk, Dataset, SourceFile};
use rhobasis::neighbors::NeighborList;
use rhobasis::structure::Structure;

use super::descriptor::{Blocks, Descriptor};
use crate::input::for_each_chunk;
use crate::output;
use crate::text::count;

/// Bytes of results computed at a time, for each thread.
const AT_A_TIME: usize = 4_000_000;

/// Centres and features of all frames, some frames at a time, with structures numbered over all files; the features of
/// frames within the first `done` rows are left out.
pub fn for_each_block(
    descriptor: &Descriptor,
    input: Dataset,
    done: usize,
    mut write: impl FnMut(&[Center], Option<&Blocks>) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let most_atoms = (AT_A_TIME * rayon::current_num_threads() / (8 * descriptor.width()).max(1)).max(1);
    let (mut rows, mut announced, mut buffer) = (0, false, Vec::new());
    output::return_memory();
    let before = output::held_memory();
    for_each_chunk(input, "computing", |chunk| {
        if !std::mem::replace(&mut announced, true) {
            announce_memory(descriptor, before, &chunk, most_atoms);
        }
        for frames in portions(&chunk, most_atoms) {
            let (first, structures) = (frames.start, &chunk.structures[frames]);
            let mut centers = centers_of(structures);
            rows += centers.len();
            let values = if rows <= done {
                None
            } else {
                let values = descriptor.compute(structures, &mut buffer);
                Some(values.map_err(|e| chunk.locate(e, |frame| frame + first))?)
            };
            centers.iter_mut().for_each(|c| c.structure += first + chunk.first);
            write(&centers, values.as_ref())?;
        }
        Ok(())
    })
}

/// What the process takes already, the frames that are read ahead, the largest block of results, what the threads work in,
/// and the neighbours of its frames.
fn announce_memory(descriptor: &Descriptor, before: f64, chunk: &Chunk, most_atoms: usize) {
    let atoms_of = |frames: &[Structure]| frames.iter().map(Structure::len).sum::<usize>();
    let portions = portions(chunk, most_atoms).into_iter().map(|frames| &chunk.structures[frames]);
    let largest = portions.max_by_key(|frames| atoms_of(frames)).unwrap_or_default();
    let (width, threads) = (descriptor.width(), rayon::current_num_threads());
    let results = 8 * width * atoms_of(largest) + descriptor.working_memory() * threads;
    let columns = match descriptor {
        Descriptor::Density(_) => String::new(),
        Descriptor::Invariants(_) => format!("{} columns, ", count(width)),
    };
    let neighbors = neighbors_memory(descriptor.expansion().density().r_cut, largest);
    output::announce_memory(
        before + chunk.reading_memory() + results as f64 + neighbors,
        &format!("however many frames; {columns}disk {} bytes per atom", count(8 * width)),
    );
}

/// Bytes of the neighbour lists that exist at a time, one on each thread, all like that of the largest frame.
fn neighbors_memory(r_cut: f64, frames: &[Structure]) -> f64 {
    let at_a_time = frames.len().min(rayon::current_num_threads()) as f64;
    let Some(largest) = frames.iter().max_by_key(|frame| frame.len()) else { return 0.0 };
    let Ok(list) = NeighborList::new(largest, r_cut) else { return 0.0 }; // the frame is refused when its turn comes
    let of_pairs = 4 * list.neighbor.capacity() + 24 * list.vector.capacity() + 12 * list.shift.capacity();
    at_a_time * of_pairs as f64
}

/// Consecutive frames of at most so many atoms, or single frames that have more.
fn portions(chunk: &Chunk, most_atoms: usize) -> Vec<Range<usize>> {
    let mut portions: Vec<Range<usize>> = Vec::new();
    let mut atoms = 0;
    for (k, n) in chunk.structures.iter().map(Structure::len).enumerate() {
        match portions.last_mut() {
            Some(last) if atoms + n <= most_atoms => {
                last.end = k + 1;
                atoms += n;
            }
            _ => {
                portions.push(k..k + 1);
                atoms = n;
            }
        }
    }
    portions
}
