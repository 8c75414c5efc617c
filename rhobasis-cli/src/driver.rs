//! A potential that moves atoms, and what is said of structures that it does not know.

use std::cell::{Cell, Ref, RefCell};
use std::path::Path;

use rhobasis::neighbors::VerletList;
use rhobasis::potential::{Beside, ClosePair, Potential, Prediction};
use rhobasis::structure::Vec3;
use rhobasis::{Result, Structure};

use crate::input::load;
use crate::text::{plural, warn};

/// Distance by which the neighbour list reaches beyond the cutoff, in Å: it is made anew when an atom has moved by half of it.
const SKIN: f64 = 0.5;

/// A potential with a list of neighbours that is kept from step to step.
pub struct Driver {
    potential: Potential,
    list: RefCell<VerletList>,
    beside: Beside,
    /// Of each atom of what was evaluated last, if it is asked for.
    extrapolation: RefCell<Vec<f64>>,
    close: RefCell<Option<ClosePair>>,
    warned: Cell<bool>,
}

impl Driver {
    pub fn load(path: &Path) -> Result<Self> {
        let potential: Potential = load(path)?;
        let list = RefCell::new(VerletList::new(potential.r_cut(), SKIN)?);
        let (extrapolation, close) = (RefCell::default(), RefCell::default());
        Ok(Driver { potential, list, beside: Beside::default(), extrapolation, close, warned: Cell::new(false) })
    }

    /// The same, which knows the extrapolation of what it has evaluated.
    ///
    /// # Errors
    /// If the potential does not know its own.
    pub fn with_extrapolation(mut self) -> Result<Self> {
        self.potential.extrapolation(&[])?;
        self.beside.extrapolation = true;
        Ok(self)
    }

    pub fn evaluate(&self, structure: &Structure) -> Result<Prediction> {
        let mut prediction = self.potential.evaluate_with(structure, &mut self.list.borrow_mut(), self.beside)?;
        self.extrapolation.replace(std::mem::take(&mut prediction.extrapolation));
        if prediction.close.is_some() && !self.warned.get() {
            *self.close.borrow_mut() = prediction.close;
        }
        Ok(prediction)
    }

    /// Extrapolation of each atom of what was evaluated last; empty unless it is asked for.
    pub fn extrapolation(&self) -> Ref<'_, Vec<f64>> {
        self.extrapolation.borrow()
    }

    /// Warns, once, if what was evaluated last has atoms nearer to each other than in training.
    pub fn warn(&self, place: impl FnOnce() -> String) {
        if let Some(close) = self.close.borrow_mut().take()
            && !self.warned.replace(true)
        {
            warn(format!("{}: {close}, so that what follows is a guess", place()));
        }
    }

    /// Positions and cell of which its list was made.
    pub fn list_of(&self) -> Option<(Vec<Vec3>, [Vec3; 3])> {
        self.list.borrow().made_for().map(|(positions, cell)| (positions.to_vec(), *cell))
    }

    /// Makes the list anew, of a structure that another run had made it of.
    pub fn list_for(&self, structure: &Structure) -> Result<()> {
        let mut list = VerletList::new(self.potential.r_cut(), SKIN)?;
        list.update(structure)?;
        *self.list.borrow_mut() = list;
        Ok(())
    }
}

/// Warns of frames in which atoms are nearer to each other than in training: of the first, and how many there are.
pub fn warn_of_close(close: &[(String, ClosePair)]) {
    let Some((place, first)) = close.first() else { return };
    let others = match close.len() - 1 {
        0 => String::new(),
        n => format!(" (and so in {})", plural(n, "other frame")),
    };
    warn(format!("{place}: {first}, so that what is said of them is a guess{others}"));
}

/// Says which columns of a frame are not looked at, though they mean something for its motion.
pub fn note_ignored(frame: &Structure, place: &str) {
    let ignored = [("move_mask", "all atoms move"), ("masses", "masses are the standard atomic weights")];
    for (column, instead) in ignored.into_iter().filter(|(name, _)| frame.column(name).is_some()) {
        warn(format!("{place}: the column '{column}' is not looked at: {instead}"));
    }
}
