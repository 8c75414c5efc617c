//! One client: what it knows, and what it answers.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use rayon::prelude::*;
use rhobasis::neighbors::{PooledList, VerletPool};
use rhobasis::potential::{Beside, ClosePair, Potential, Prediction};
use rhobasis::{Error, Result, Structure};

use super::message::{Header, State, batch_of_init, force_ready, structures, unusable};
use super::socket::{Socket, Stop};
use super::units::ANGSTROM;
use crate::text::{plural, tell, warn};

/// Distance by which neighbour lists reach beyond the cutoff, in Å: one is made anew when an atom has moved by half of it.
const SKIN: f64 = 0.5;
/// A volume that differs from that of the template by more than this factor is more likely one in other units.
const SUSPICIOUS: f64 = 3.0;

/// What is sent beside energy, forces and virial.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
pub enum Extra {
    /// "energies": the energy of each atom, in eV
    Energies,
    /// "energy_uncertainty": the standard deviation of the energy, in eV; of linear and sparse models
    Uncertainty,
    /// "extrapolation": of each atom, above 1 outside of what was trained on; some 20 % more time, of linear and sparse models
    Extrapolation,
}

/// Answers the requests of a server with a potential.
pub struct Client {
    potential: Potential,
    /// Species, order and periodicity of the atoms, and a cell to compare with.
    template: Structure,
    extras: Vec<Extra>,
    beside: Beside,
    lists: VerletPool,
    served: usize,
    busy: Duration,
    /// Whether atoms that are too near were warned of.
    warned: bool,
}

impl Client {
    /// # Errors
    /// If the potential cannot give an extra, or not the energy of the template.
    pub fn new(potential: Potential, template: Structure, extras: Vec<Extra>) -> Result<Self> {
        let mut lists = VerletPool::new(potential.r_cut(), SKIN)?;
        let beside = Beside { extrapolation: extras.contains(&Extra::Extrapolation), ..Beside::default() };
        potential.evaluate_with(&template, lists.list(&template)?, beside)?;
        if extras.contains(&Extra::Uncertainty) {
            potential.energy_variances(&[])?;
        }
        let template = Structure { info: Vec::new(), columns: Vec::new(), ..template };
        Ok(Client { potential, template, extras, beside, lists, served: 0, busy: Duration::ZERO, warned: false })
    }

    /// How many structures were evaluated.
    pub fn served(&self) -> usize {
        self.served
    }

    /// What was done, for the user.
    pub fn summary(&self) -> String {
        let each = 1e3 * self.busy.as_secs_f64() / self.served.max(1) as f64;
        let lists = plural(self.lists.made() as usize, "neighbour list");
        format!("{}, {each:.2} ms each, {lists} made", plural(self.served, "structure"))
    }

    /// Answers until the server says EXIT.
    pub fn talk(&mut self, socket: &mut Socket) -> std::result::Result<(), Stop> {
        let (mut state, mut batch, mut answer) = (State::NeedInit, None, Vec::new());
        let mut is_first = true;
        loop {
            match Header::next(socket)? {
                Header::Status => socket.send(state.bytes())?,
                Header::Init => {
                    batch = batch_of_init(socket)?;
                    state = State::Ready;
                }
                Header::PosData => {
                    let received = structures(socket, &self.template, batch)?;
                    if std::mem::take(&mut is_first) {
                        self.compare_volume(&received[0]);
                    }
                    answer = self.answer(&received).map_err(|e| e.in_file(socket.address().to_string()))?;
                    state = State::HaveData;
                }
                Header::GetForce if state == State::HaveData => {
                    socket.send(&answer)?;
                    state = State::Ready;
                }
                Header::GetForce => {
                    return Err(unusable(socket, "GETFORCE without POSDATA before", "see what listens there"));
                }
                Header::Exit => return Ok(()),
            }
        }
    }

    /// FORCEREADY for these structures.
    fn answer(&mut self, structures: &[Structure]) -> Result<Vec<u8>> {
        let start = Instant::now();
        let first = self.served;
        // A batch is filled up with copies of its last structure.
        let last = structures.last();
        let copies = structures.iter().rev().take_while(|&s| Some(s) == last).count().saturating_sub(1);
        let distinct = &structures[..structures.len() - copies];
        for (k, structure) in distinct.iter().enumerate() {
            check_finite(structure).map_err(|e| numbered(e, first + k))?;
        }
        let mut predictions = self.evaluate(distinct)?;
        if let (false, Some((k, close))) = (self.warned, first_close(&predictions)) {
            warn(format!("structure {}: {close}, so that what follows is a guess", first + k));
            self.warned = true;
        }
        let mut texts =
            distinct.iter().zip(&predictions).map(|(s, p)| self.extras(s, p)).collect::<Result<Vec<String>>>()?;
        self.served += distinct.len();
        for _ in 0..copies {
            predictions.extend(predictions.last().cloned());
            texts.extend(texts.last().cloned());
        }
        self.busy += start.elapsed();
        Ok(force_ready(&predictions, &texts))
    }

    /// One structure on all threads, or the structures of a batch side by side.
    fn evaluate(&mut self, structures: &[Structure]) -> Result<Vec<Prediction>> {
        let (potential, beside, first) = (&self.potential, self.beside, self.served);
        if let [structure] = structures {
            let found = self.lists.list(structure).and_then(|list| potential.evaluate_with(structure, list, beside));
            return Ok(vec![found.map_err(|e| numbered(e, first))?]);
        }
        let mut lists = Vec::new();
        for (k, structure) in structures.iter().enumerate() {
            let taken = self.lists.take_lists(std::slice::from_ref(structure)).map_err(|e| numbered(e, first + k))?;
            lists.extend(taken);
        }
        let of = |(k, (list, structure)): (usize, (&mut PooledList, &Structure))| {
            potential.evaluate_with(structure, list.list(), beside).map_err(|e| numbered(e, first + k))
        };
        let predictions = lists.par_iter_mut().zip(structures).enumerate().map(of).collect();
        self.lists.put_back(lists);
        predictions
    }

    /// JSON, or nothing.
    fn extras(&self, structure: &Structure, prediction: &Prediction) -> Result<String> {
        if self.extras.is_empty() {
            return Ok(String::new());
        }
        let mut extras = serde_json::Map::new();
        for extra in &self.extras {
            let (key, value) = match extra {
                Extra::Energies => ("energies", prediction.energies.clone().into()),
                Extra::Extrapolation => ("extrapolation", prediction.extrapolation.clone().into()),
                Extra::Uncertainty => {
                    let variance = self.potential.energy_variances(std::slice::from_ref(structure))?[0];
                    ("energy_uncertainty", variance.sqrt().into())
                }
            };
            extras.insert(key.into(), value);
        }
        Ok(serde_json::Value::Object(extras).to_string())
    }

    /// Says if the cell can hardly be meant.
    fn compare_volume(&self, structure: &Structure) {
        let (ours, theirs) = (self.template.volume(), structure.volume());
        let ratio = theirs / ours;
        if self.template.pbc == [true; 3] && !(1.0 / SUSPICIOUS..=SUSPICIOUS).contains(&ratio) {
            tell(format!(
                "note: the server's cell has {theirs:.4} Å³, that of the template {ours:.4} Å³; see that the input of i-PI \
                 names the units of cell and positions"
            ));
        }
    }
}

/// The first structure with atoms nearer to each other than in training.
fn first_close(predictions: &[Prediction]) -> Option<(usize, ClosePair)> {
    predictions.iter().enumerate().find_map(|(k, prediction)| Some((k, prediction.close?)))
}

/// An error by the number of its structure among all that were sent: of those that were evaluated with it, it is the only one.
fn numbered(e: Error, number: usize) -> Error {
    match e {
        Error::Structure { mut place, problem, remedy } => {
            place.frame = Some(number);
            Error::Structure { place, problem, remedy }
        }
        other => other,
    }
}

/// # Errors
/// Naming the first atom whose position is not finite.
fn check_finite(structure: &Structure) -> Result<()> {
    let remedy = "the simulation has come apart: look at its start, its units and its time step";
    if let Some(atom) = structure.positions.iter().position(|r| !r.iter().all(|x| x.is_finite())) {
        let [x, y, z] = structure.positions[atom].map(|x| x * ANGSTROM);
        return Err(Error::structure(Some(atom), format!("the server sent position ({x}, {y}, {z}) bohr"), remedy));
    }
    if structure.cell.as_flattened().iter().any(|x| !x.is_finite()) {
        let h = structure.cell.map(|vector| vector.map(|x| x * ANGSTROM));
        return Err(Error::structure(None, format!("the server sent the lattice vectors {h:?} bohr"), remedy));
    }
    Ok(())
}
