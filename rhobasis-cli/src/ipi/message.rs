//! The messages of i-PI's protocol: a header of twelve bytes, then numbers in the byte order of the machine, in atomic units.
//!
//! ```text
//! STATUS                                       → NEEDINIT, READY or HAVEDATA
//! INIT        i32 replica, i32 length, text      (the text may hold `batch_size:N`)
//! POSDATA     9 f64 h, 9 f64 h⁻¹, i32 n, 3n f64 positions
//! GETFORCE                                     → FORCEREADY f64 E, i32 n, 3n f64 forces, 9 f64 virial, i32 length, text
//! EXIT
//! ```
//!
//! h has the lattice vectors in its columns. GETFORCE may follow POSDATA without a STATUS between. In batches of N:
//!
//! ```text
//! POSDATA     i32 n, N × (9 f64 h, 9 f64 h⁻¹), N × 3n f64 positions
//! GETFORCE  → FORCEREADY N f64 E, i32 n, N × 3n f64 forces, N × 9 f64 virial, N × (i32 length, text)
//! ```

use rhobasis::potential::Prediction;
use rhobasis::structure::Vec3;
use rhobasis::{Error, Structure};

use super::socket::{Socket, Stop};
use super::units::{ANGSTROM, ELECTRON_VOLT, ELECTRON_VOLT_PER_ANGSTROM};

/// Longest text of INIT: i-PI sends a few words.
const LONGEST_TEXT: i32 = 1 << 16;
/// Most structures of a batch.
const LARGEST_BATCH: usize = 1 << 12;

/// What a server asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Header {
    Status,
    Init,
    PosData,
    GetForce,
    Exit,
}

/// What the client says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    NeedInit,
    Ready,
    HaveData,
}

impl State {
    pub fn bytes(self) -> &'static [u8; 12] {
        match self {
            State::NeedInit => b"NEEDINIT    ",
            State::Ready => b"READY       ",
            State::HaveData => b"HAVEDATA    ",
        }
    }
}

impl Header {
    /// Waits for the next message.
    pub fn next(socket: &mut Socket) -> Result<Header, Stop> {
        let mut bytes = [0; 12];
        socket.wait_for(&mut bytes)?;
        match bytes.trim_ascii_end() {
            b"STATUS" => Ok(Header::Status),
            b"INIT" => Ok(Header::Init),
            b"POSDATA" => Ok(Header::PosData),
            b"GETFORCE" => Ok(Header::GetForce),
            b"EXIT" => Ok(Header::Exit),
            _ => {
                let problem = format!("\"{}\" is no message of i-PI's protocol", bytes.escape_ascii());
                Err(unusable(socket, problem, "see that i-PI, and no other program, listens there"))
            }
        }
    }
}

/// An error in what the server has sent.
pub fn unusable(socket: &Socket, problem: impl Into<String>, remedy: &str) -> Stop {
    Error::file(socket.address().to_string(), problem, remedy).into()
}

/// What follows INIT: the number of structures of a batch, none where they come one by one.
pub fn batch_of_init(socket: &mut Socket) -> Result<Option<usize>, Stop> {
    let (_replica, length) = (integer(socket)?, integer(socket)?);
    if !(0..=LONGEST_TEXT).contains(&length) {
        let problem = format!("INIT with a text of {length} bytes");
        return Err(unusable(socket, problem, &format!("0 to {LONGEST_TEXT} are expected; see what listens there")));
    }
    let mut text = vec![0; length as usize];
    socket.fill(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
    let Some((_, size)) = pairs.into_iter().find(|(key, _)| key.trim() == "batch_size") else { return Ok(None) };
    match size.trim().parse() {
        Ok(1) => Ok(None),
        Ok(size @ 2..=LARGEST_BATCH) => Ok(Some(size)),
        _ => {
            let problem = format!("batch_size {:?} of INIT is no number from 1 to {LARGEST_BATCH}", size.trim());
            Err(unusable(socket, problem, "set another <batch_size> in the input of i-PI"))
        }
    }
}

/// What follows POSDATA, put into copies of the template: cells and positions in Å.
pub fn structures(socket: &mut Socket, template: &Structure, batch: Option<usize>) -> Result<Vec<Structure>, Stop> {
    match batch {
        None => {
            let cell = cell(socket)?;
            check_number(socket, template.len())?;
            Ok(vec![Structure { cell, positions: positions(socket, template.len())?, ..template.clone() }])
        }
        Some(size) => {
            check_number(socket, template.len())?;
            let cells: Vec<[Vec3; 3]> = (0..size).map(|_| cell(socket)).collect::<Result<_, _>>()?;
            let of = |cell| Ok(Structure { cell, positions: positions(socket, template.len())?, ..template.clone() });
            cells.into_iter().map(of).collect()
        }
    }
}

fn check_number(socket: &mut Socket, n_atoms: usize) -> Result<(), Stop> {
    let n = integer(socket)?;
    if usize::try_from(n) == Ok(n_atoms) {
        return Ok(());
    }
    let problem = format!("POSDATA of {n} atoms, and the template has {n_atoms}");
    Err(unusable(socket, problem, "give the frame that i-PI starts from as --template"))
}

/// Lattice vectors in rows, from those in columns; their inverse says nothing new.
fn cell(socket: &mut Socket) -> Result<[Vec3; 3], Stop> {
    let h = vectors(socket, 6)?;
    Ok(std::array::from_fn(|k| std::array::from_fn(|d| h[d][k] / ANGSTROM)))
}

fn positions(socket: &mut Socket, n_atoms: usize) -> Result<Vec<Vec3>, Stop> {
    let mut all = vectors(socket, n_atoms)?;
    all.as_flattened_mut().iter_mut().for_each(|x| *x /= ANGSTROM);
    Ok(all)
}

fn vectors(socket: &mut Socket, n: usize) -> Result<Vec<Vec3>, Stop> {
    let mut bytes = vec![0; 24 * n];
    socket.fill(&mut bytes)?;
    let number = |b: &[u8]| f64::from_ne_bytes(b.try_into().expect("eight bytes"));
    Ok(bytes.chunks_exact(24).map(|v| [number(&v[..8]), number(&v[8..16]), number(&v[16..])]).collect())
}

fn integer(socket: &mut Socket) -> Result<i32, Stop> {
    let mut bytes = [0; 4];
    socket.fill(&mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// FORCEREADY and all that follows, of one structure or of those of a batch; with a text for each.
pub fn force_ready(predictions: &[Prediction], texts: &[String]) -> Vec<u8> {
    let n_atoms = predictions.first().map_or(0, |p| p.forces.len());
    let mut bytes = b"FORCEREADY  ".to_vec();
    bytes.extend(predictions.iter().flat_map(|p| (p.energy * ELECTRON_VOLT).to_ne_bytes()));
    bytes.extend((n_atoms as i32).to_ne_bytes());
    let forces = predictions.iter().flat_map(|p| p.forces.as_flattened());
    bytes.extend(forces.flat_map(|f| (f * ELECTRON_VOLT_PER_ANGSTROM).to_ne_bytes()));
    let virials = predictions.iter().flat_map(|p| &p.virial); // symmetric: transposed it is the same
    bytes.extend(virials.flat_map(|v| (v * ELECTRON_VOLT).to_ne_bytes()));
    for text in texts {
        bytes.extend((text.len() as i32).to_ne_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}
