//! Verlet lists of several copies of a structure that are evaluated in turn: beads of a ring polymer, images of a band.

use super::verlet::VerletList;
use crate::{Result, Structure};

/// So many copies have a list each; of more, those that come next find theirs made anew.
const MOST: usize = 64;
/// What the lists may take together, in bytes; one there is always.
const MEMORY: usize = 512 << 20;
/// A list that has served so often before it is of no more use to any structure is one that time has worn, and is made anew in its
/// place; one that has served less was taken from a copy that is still there, which gets it back.
const SERVICE: u64 = 4;

/// A few [`VerletList`]s of one cutoff and skin. Each structure gets one that serves it (no atom further than `skin / 2` from where
/// it was when the list was made, nothing else changed), whichever that is; if there is none, one is made.
///
/// Copies that come by turns thereby keep a list each, or share one where they are close to each other. One that moves on alone
/// needs, and has, no more than one.
///
/// Which list serves decides the order in which pairs are summed: results are those of a new list but for rounding.
///
/// ```
/// use rhobasis::{Structure, neighbors::VerletPool};
/// let mut pool = VerletPool::new(3.0, 0.4)?;
/// let dimer = |d: f64| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]);
/// for step in 0..10 {
///     pool.list(&dimer(2.4 + 0.01 * f64::from(step)))?;
///     pool.list(&dimer(2.9 - 0.01 * f64::from(step)))?;
/// }
/// assert_eq!(pool.made(), 2);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VerletPool {
    r_cut: f64,
    skin: f64,
    /// In the order of their last use: the next of copies that come by turns is the first.
    lists: Vec<Entry>,
    /// Structures that have asked.
    calls: u64,
    /// Lists that were made.
    made: u64,
}

/// A list, and what it has done.
#[derive(Debug, Clone)]
struct Entry {
    list: VerletList,
    /// Structures that it has served since it was made.
    served: u64,
    /// The last of all calls that it has served.
    last: u64,
}

impl VerletPool {
    /// A pool without lists; lengths in Å.
    ///
    /// # Errors
    /// As [`VerletList::new`].
    pub fn new(r_cut: f64, skin: f64) -> Result<Self> {
        VerletList::new(r_cut, skin)?;
        Ok(VerletPool { r_cut, skin, lists: Vec::new(), calls: 0, made: 0 })
    }

    /// A list that serves the structure, made anew if there is none.
    ///
    /// # Errors
    /// As [`VerletList::update`].
    pub fn list(&mut self, structure: &Structure) -> Result<&mut VerletList> {
        let list = self.take(structure)?;
        self.put(list);
        let last = self.lists.last_mut().expect("one was put there");
        Ok(&mut last.list)
    }

    /// The same for several structures that are evaluated at once: one list for each, which [`VerletPool::put_back`] takes.
    ///
    /// # Errors
    /// As [`VerletPool::list`].
    pub fn take_lists(&mut self, structures: &[Structure]) -> Result<Vec<PooledList>> {
        structures.iter().map(|structure| self.take(structure).map(PooledList)).collect()
    }

    /// Takes lists back, in the order of [`VerletPool::take_lists`].
    pub fn put_back(&mut self, lists: Vec<PooledList>) {
        lists.into_iter().for_each(|PooledList(entry)| self.put(entry));
    }

    /// How many lists were made until now.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// How many lists there are.
    pub fn n_lists(&self) -> usize {
        self.lists.len()
    }

    /// Takes the list out that serves the structure.
    fn take(&mut self, structure: &Structure) -> Result<Entry> {
        structure.validate()?;
        self.calls += 1;
        let found = self.lists.iter().position(|entry| entry.list.serves(structure));
        let mut entry = match found {
            Some(k) => self.lists.remove(k),
            None => self.make(structure)?,
        };
        (entry.served, entry.last) = (entry.served + 1, self.calls);
        Ok(entry)
    }

    fn put(&mut self, entry: Entry) {
        self.lists.push(entry);
        while self.lists.len() > 1 && (self.lists.len() > MOST || self.memory() > MEMORY) {
            self.lists.remove(0);
        }
    }

    fn memory(&self) -> usize {
        self.lists.iter().map(|entry| entry.list.memory()).sum()
    }

    /// A new list, in place of the one that was not used for longest if that has done its service, or there is no room for more.
    fn make(&mut self, structure: &Structure) -> Result<Entry> {
        let mut list = match self.is_replaced() {
            true => self.lists.remove(0).list,
            false => VerletList::new(self.r_cut, self.skin)?,
        };
        list.update(structure)?;
        self.made += 1;
        Ok(Entry { list, served: 0, last: self.calls })
    }

    fn is_replaced(&self) -> bool {
        let Some(oldest) = self.lists.first() else { return false };
        let forgotten = self.calls - oldest.last > 2 * MOST as u64;
        let full = self.lists.len() >= MOST || self.memory() + oldest.list.memory() > MEMORY;
        oldest.served >= SERVICE || forgotten || full
    }
}

/// A list that was taken out of a [`VerletPool`].
#[derive(Debug)]
pub struct PooledList(Entry);

impl PooledList {
    /// The list.
    pub fn list(&mut self) -> &mut VerletList {
        &mut self.0.list
    }
}
