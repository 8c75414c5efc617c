//! `rhobasis select`: a few columns or rows of a feature matrix that stand for all.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ndarray::{Array2, ArrayView2};
use rhobasis::selection::{Axis, CurSettings, Selection, cur, cur_gram, fps, fps_gram};
use rhobasis::{Error, Result, linalg, memory};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::label_next;
use crate::made_by;
use crate::matrix::meta_path;
use crate::npy::{self, Array, Spool};
use crate::npy_read::{self, with_array};
use crate::output;
use crate::text::{count, plural, warn};

/// Choose the features or samples of a matrix that stand for all, or frames to label next
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Select {
    /// X.npz with an array X [sample, feature], or a matrix X.npy (described by X.meta.npz if that is there); with --potential,
    /// extended XYZ files to choose frames from, plain or packed, each with an optional slice
    #[arg(value_name = "MATRIX|DATA", required = true)]
    from: Vec<String>,
    /// cur: largest leverage, the rest made orthogonal to it; fps: farthest from those chosen already; leverage, with --potential: the
    /// frame that has the atom with the largest extrapolation, the others as if its atoms had been learned
    #[arg(long, value_enum, default_value_t = Method::Cur)]
    method: Method,
    /// A potential, *.rho, that frames are to be labelled for
    #[arg(long, value_name = "MODEL.rho")]
    potential: Option<PathBuf>,
    /// How many to choose
    #[arg(short, value_name = "N")]
    n: usize,
    /// What to choose
    #[arg(long, value_enum, default_value_t = Of::Features)]
    of: Of,
    /// Index of the first (fps)
    #[arg(long, value_name = "I", default_value_t = 0)]
    start: usize,
    /// Number of singular vectors in the leverage (cur)
    #[arg(long, value_name = "K", default_value_t = 1)]
    k: usize,
    /// Number chosen before leverage is computed anew; 0: only once (cur)
    #[arg(long, value_name = "M", default_value_t = 1)]
    at_once: usize,
    /// Largest matrix to hold in memory, in GB; of a larger one only XᵀX is formed, by reading blocks of rows
    #[arg(long, value_name = "GB", default_value_t = 4.0)]
    memory: f64,
    /// *.npz with the arrays selected (indices in order of choice), scores, and the rows of `columns` (features) or of
    /// structure, atom, species (samples; where these are frames: structure, n_atoms, energy) that are chosen; with --potential, extended XYZ with the frames in order of choice, each with
    /// 'max_extrapolation', 'remaining_extrapolation' (had those before it been learned) and its index 'selected_from'
    #[arg(short, long)]
    output: PathBuf,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Method {
    Cur,
    Fps,
    Leverage,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Of {
    Features,
    Samples,
}

const EXAMPLE: &str = "\
Example:
  rhobasis features silicon.xyz.xz --basis silicon.rho --kind power-spectrum -o X.npy
  rhobasis select X.npy --method cur -n 100 -o picked.npz
  rhobasis features silicon.xyz.xz --basis silicon.rho --kind power-spectrum --columns picked.npz -o few.npy
Example: the 50 frames of a long run that a potential would learn most of
  rhobasis select run.xyz --potential silicon.rho --method leverage -n 50 -o label.xyz";

/// Rows whose squares are added at a time.
const BLOCK: usize = 4096;

/// What is read: all of the matrix, or the Gram matrix of a multiple of it.
enum Read {
    Whole(Array2<f64>),
    Gram(Array2<f64>, f64),
}

/// XᵀX of blocks of rows, times the square of a factor that keeps it from overflow and from vanishing.
struct GramSums {
    sums: Vec<f64>,
    columns: usize,
    /// None before the first number that is not zero; falls where larger ones come.
    factor: Option<f64>,
}

impl GramSums {
    fn new(columns: usize) -> Self {
        GramSums { sums: vec![0.0; columns * columns], columns, factor: None }
    }

    fn add(&mut self, mut rows: Vec<f64>) {
        if rows.iter().all(|x| *x == 0.0) {
            return;
        }
        let needed = linalg::safe_factor(&rows);
        let factor = self.factor.map_or(needed, |factor| factor.min(needed));
        let change = factor / self.factor.unwrap_or(factor);
        if change != 1.0 {
            self.sums.iter_mut().for_each(|sum| *sum = *sum * change * change);
        }
        if factor != 1.0 {
            rows.iter_mut().for_each(|x| *x *= factor);
        }
        linalg::add_gram(&rows, rows.len() / self.columns, self.columns, self.columns, &mut self.sums);
        self.factor = Some(factor);
    }
}

impl Select {
    pub fn files(&self) -> Files {
        if let Some(potential) = &self.potential {
            return Files::reading([potential]).and_data(&self.from).writing("--output", Holds::Frames, [&self.output]);
        }
        let read = [self.matrix().to_path_buf(), meta_path(self.matrix())];
        Files::reading(read).writing("--output", Holds::Npz, [&self.output])
    }

    fn matrix(&self) -> &Path {
        Path::new(&self.from[0])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        match (&self.potential, self.method) {
            (Some(potential), Method::Leverage) => {
                return label_next::select(potential, &self.from, self.n, &self.output, out);
            }
            (Some(_), _) => {
                return Err(Failure::usage("--potential: frames are chosen with --method leverage: add it"));
            }
            (None, Method::Leverage) => {
                return Err(Failure::usage(
                    "--method leverage chooses frames for a potential: name it with --potential",
                ));
            }
            (None, _) if self.from.len() > 1 => {
                return Err(Failure::usage("several matrices: columns or rows are chosen from one"));
            }
            (None, _) => {}
        }
        output::check(&self.output, &["npz"])?;
        if !self.memory.is_finite() || self.memory < 0.0 {
            return Err(Failure::usage(format!("--memory {}: give a number of GB", self.memory)));
        }
        let (shape, read) = self.read()?;
        let chosen = self.choose(&read)?;
        let arrays = self.arrays(&chosen, shape)?;
        let none: [&mut Spool; 0] = [];
        rhobasis::files::write_atomically(&self.output, |file| npy::write_npz(file, 0, none, &arrays))?;
        let what = if self.of == Of::Features { "feature" } else { "sample" };
        let available = if self.of == Of::Features { shape.1 } else { shape.0 };
        let found = chosen.indices.len();
        if found < self.n {
            let (found, wanted) = (count(found), count(self.n));
            warn(format!("{found} of {wanted} were chosen: the others add nothing to them"));
        }
        writeln!(
            out,
            "{} of {} chosen from {} × {}",
            plural(found, what),
            count(available),
            count(shape.0),
            count(shape.1)
        )?;
        writeln!(out, "wrote {}", self.output.display())?;
        let file = self.output.display();
        writeln!(out, "next: python -c \"import numpy; print(numpy.load('{file}')['selected'])\"")?;
        Ok(())
    }

    fn read(&self) -> Result<((usize, usize), Read)> {
        let path = self.matrix();
        let read = with_array(path, "X", |mut stored| {
            let (rows, columns) = stored.matrix_shape()?;
            let gigabytes = |numbers: f64| numbers * 8e-9;
            let size = gigabytes(rows as f64 * columns as f64);
            if size <= self.memory {
                return Ok(((rows, columns), Read::Whole(stored.read_matrix()?)));
            }
            let gram = gigabytes((columns as f64).powi(2));
            if self.of == Of::Samples || gram > size || !stored.is_by_rows() {
                let problem =
                    format!("array 'X' of {rows} × {columns} takes {size:.3} GB, more than --memory {}", self.memory);
                return Err(Error::file(path, problem, "allow more with --memory, or choose from a part of it"));
            }
            output::announce_memory(2e9 * gram, "for the Gram matrix of the features, and its copy");
            let numbers = (columns as u64).saturating_mul(columns as u64);
            memory::check(numbers.saturating_mul(16)).map_err(|shortage| {
                let problem = format!("array 'X' of {rows} × {columns}, whose Gram matrix is formed: {shortage}");
                Error::file(path, problem, "choose from fewer columns")
            })?;
            let mut sums = GramSums::new(columns);
            for first in (0..rows).step_by(BLOCK) {
                sums.add(stored.read(BLOCK.min(rows - first) * columns)?);
            }
            let factor = sums.factor.unwrap_or(1.0);
            let gram = Array2::from_shape_vec((columns, columns), sums.sums).expect("columns × columns numbers");
            Ok(((rows, columns), Read::Gram(gram, factor)))
        })?;
        match read {
            Some(read) => Ok(read),
            None => {
                let problem = format!("has no array 'X', but {}", npy_read::names(path)?.join(", "));
                Err(Error::file(path, problem, "pass a matrix: 'rhobasis features -o X.npy' writes one"))
            }
        }
    }

    fn choose(&self, read: &Read) -> Result<Selection> {
        let axis = if self.of == Of::Features { Axis::Features } else { Axis::Samples };
        let settings = CurSettings { k: self.k, recompute_every: self.at_once };
        let is_cur = self.method == Method::Cur;
        let chosen = match (read, is_cur) {
            (Read::Whole(x), true) => cur(x.view(), self.n, axis, settings),
            (Read::Whole(x), false) => fps(x.view(), self.n, axis, self.start),
            (Read::Gram(g, _), true) => cur_gram(g.view(), self.n, settings),
            (Read::Gram(g, factor), false) => fps_gram(g.view(), self.n, self.start).map(|mut chosen| {
                chosen.scores.iter_mut().for_each(|score| *score = *score / factor / factor);
                chosen
            }),
        };
        // The settings bear the names of the flags, except for the matrix itself.
        chosen.map_err(|e| match e {
            Error::Setting { name: "X" | "gram", problem, remedy, value } => {
                Error::file(self.matrix(), format!("array 'X': {problem} ({value})"), remedy)
            }
            other => other,
        })
    }

    fn arrays(&self, chosen: &Selection, shape: (usize, usize)) -> Result<Vec<Array>> {
        let indices: Vec<i64> = chosen.indices.iter().map(|&i| i as i64).collect();
        let mut arrays = vec![Array::integers("selected", None, &indices), Array::reals("scores", &chosen.scores)];
        let beside = meta_path(self.matrix());
        let is_npy = self.matrix().extension().is_some_and(|e| e == "npy");
        let described = if is_npy { &beside } else { self.matrix() };
        if described.exists() {
            let rows_are_atoms = npy_read::names(described)?.iter().any(|name| name == "atom");
            let (names, length): (&[&str], _) = match self.of {
                Of::Features => (&["columns", "column_species"], shape.1),
                Of::Samples if rows_are_atoms => (&["structure", "atom", "species"], shape.0),
                Of::Samples => (&["structure", "n_atoms", "energy"], shape.0),
            };
            for name in names {
                arrays.extend(rows_of(described, name, &chosen.indices, length)?);
            }
        }
        let settings = json!({
            "rhobasis": env!("CARGO_PKG_VERSION"),
            "command": made_by::this_command(),
            "matrix": { "path": self.matrix().display().to_string(), "shape": [shape.0, shape.1] },
            "method": if self.method == Method::Cur { "cur" } else { "fps" },
            "of": if self.of == Of::Features { "features" } else { "samples" },
            "start": self.start,
            "k": self.k,
            "at_once": self.at_once,
        });
        arrays.push(Array::text("settings", &settings.to_string()));
        Ok(arrays)
    }
}

/// These rows of an array of integers, or of energies, if the file has it.
fn rows_of(path: &Path, name: &str, rows: &[usize], length: usize) -> Result<Option<Array>> {
    with_array(path, name, |mut stored| {
        let shape = stored.shape.clone();
        if shape.first() != Some(&length) || shape.len() > 2 || !stored.is_by_rows() {
            let problem = format!("array '{name}' has shape {shape:?}, but X has {length} of what it describes");
            return Err(Error::file(path, problem, "pass the description that was written with X"));
        }
        let all = stored.read(shape.iter().product())?;
        let width = shape.get(1).copied();
        let all =
            ArrayView2::from_shape((length, width.unwrap_or(1)), &all).expect("as many numbers as the shape says");
        let values: Vec<f64> = rows.iter().flat_map(|&i| all.row(i).to_vec()).collect();
        Ok(match name {
            "energy" => Array::reals(name, &values),
            _ => Array::integers(name, width, &values.iter().map(|&x| x as i64).collect::<Vec<_>>()),
        })
    })
}
