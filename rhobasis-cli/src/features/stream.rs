//! Features of all frames, some frames at a time, in memory that is stated beforehand.

use std::ops::Range;

use rhobasis::Result;
use rhobasis::extxyz::{Chunk, Dataset, SourceFile};
use rhobasis::neighbors::NeighborList;
use rhobasis::structure::Structure;

use super::descriptor::{Blocks, Described, Descriptor};
use super::frames::OfFrames;
use crate::input::for_each_chunk;
use crate::matrix::Rows;
use crate::npy::Reals;
use crate::output;
use crate::text::count;

/// Bytes of results computed at a time, for each thread.
const AT_A_TIME: usize = 4_000_000;

/// Rows and features of all frames, some frames at a time, with structures numbered over all files; the features of
/// frames within the first `done` rows are left out. `frames` learns of all of them.
pub fn for_each_block(
    descriptor: &Descriptor,
    input: Dataset,
    reals: Reals,
    frames: &mut OfFrames,
    done: usize,
    mut write: impl FnMut(&Rows, Option<&Blocks>) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let most_rows = (AT_A_TIME * rayon::current_num_threads() / (8 * descriptor.width()).max(1)).max(1);
    let (mut n_rows, mut announced, mut buffer) = (0, false, Vec::new());
    output::return_memory();
    let before = output::held_memory();
    for_each_chunk(input, "computing", |chunk| {
        if !std::mem::replace(&mut announced, true) {
            announce_memory(descriptor, before, &chunk, most_rows, reals);
        }
        frames.add(&chunk)?;
        for frames in portions(descriptor, &chunk, most_rows) {
            let (first, structures) = (frames.start, &chunk.structures[frames]);
            let number = first + chunk.first;
            let rows = if descriptor.is_per_structure() {
                Rows::of_structures(number, structures)
            } else {
                let mut centers = descriptor.centers_of(structures);
                centers.iter_mut().for_each(|c| c.structure += number);
                Rows::of_centers(&centers)
            };
            n_rows += rows.len;
            let values = if n_rows <= done {
                None
            } else {
                let values = descriptor.compute(structures, &mut buffer);
                Some(values.map_err(|e| chunk.locate(e, |frame| frame + first))?)
            };
            write(&rows, values.as_ref())?;
        }
        Ok(())
    })
}

/// What the process takes already, the frames that are read ahead, the largest block of results, what the threads work in,
/// and the neighbours of its frames.
fn announce_memory(descriptor: &Descriptor, before: f64, chunk: &Chunk, most_rows: usize, reals: Reals) {
    let rows_of = |frames: &[Structure]| frames.iter().map(|frame| descriptor.rows_of(frame)).sum::<usize>();
    let portions = portions(descriptor, chunk, most_rows).into_iter().map(|frames| &chunk.structures[frames]);
    let largest = portions.max_by_key(|frames| rows_of(frames)).unwrap_or_default();
    let (width, threads) = (descriptor.width(), rayon::current_num_threads());
    let results = 8 * width * descriptor.copies() * rows_of(largest) + descriptor.working_memory() * threads;
    let columns = match descriptor.what {
        Described::Density(_) => String::new(),
        Described::Invariants(_) | Described::PerStructure(..) => format!("{} columns, ", count(width)),
    };
    let neighbors = neighbors_memory(descriptor.expansion().density().r_cut, largest);
    output::announce_memory(
        before + chunk.reading_memory() + results as f64 + neighbors,
        &format!(
            "however many frames; {columns}disk {} bytes per {}",
            count(reals.size() * width),
            if descriptor.is_per_structure() { "frame" } else { "atom" }
        ),
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

/// Consecutive frames of at most so many rows, or single frames that have more.
fn portions(descriptor: &Descriptor, chunk: &Chunk, most_rows: usize) -> Vec<Range<usize>> {
    let mut portions: Vec<Range<usize>> = Vec::new();
    let mut rows = 0;
    for (k, n) in chunk.structures.iter().map(|frame| descriptor.rows_of(frame)).enumerate() {
        match portions.last_mut() {
            Some(last) if rows + n <= most_rows => {
                last.end = k + 1;
                rows += n;
            }
            _ => {
                portions.push(k..k + 1);
                rows = n;
            }
        }
    }
    portions
}
