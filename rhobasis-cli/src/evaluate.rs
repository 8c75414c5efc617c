//! `rhobasis evaluate`: how far predictions are off.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::extxyz::{Dataset, LabelKeys, LabelSurvey, Labels, Options, path_of};
use rhobasis::files::is_stream;
use rhobasis::potential::{Errors, Potential, Progress, Quantity, cross_validate, folds, learning_curve};
use rhobasis::{Error, Result};
use serde_json::{Value, json};

use crate::coverage::Reliability;
use crate::errors_table::{Comparison, errors_csv, errors_json, row_name, short, write_errors, write_parity};
use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::{Keys, for_each_chunk, frames_bar, load};
use crate::label_keys::Named;
use crate::labelled::labels_of;
use crate::make_basis::make_basis;
use crate::model_file::ModelFile;
use crate::output;
use crate::tensors::{self, TensorKeys};
use crate::text::{Table, count, field, plural};
use crate::train::{read, read_training};

/// Frames that are read at a time until it is known that there are labels.
const FIRST_LOOK: usize = 16;

/// Compare predictions with labels: of a potential, by cross-validation, or for more and more training frames
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Evaluate {
    /// A potential or a model of a tensor, *.rho, which is compared with the labels of DATA; or a model file, *.toml, which is trained several times,
    /// with --folds or --learning-curve
    #[arg(value_name = "MODEL.rho|MODEL.toml")]
    model: PathBuf,
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    data: Vec<String>,
    /// Draw predictions over labels
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the table of errors as comma-separated values
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    tensor_keys: TensorKeys,
    /// Cross-validation: cut the training frames of MODEL.toml into K parts, frames that repeat each other into one, and
    /// predict each by a fit to the others
    #[arg(long, value_name = "K", conflicts_with = "learning_curve")]
    folds: Option<usize>,
    /// Train on so many frames, chosen at random, and test on the test frames of MODEL.toml
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    learning_curve: Vec<usize>,
    /// Seed of folds and random choices; that of MODEL.toml if not given
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Print one JSON object instead of tables; docs/how-to/cluster.md has its keys
    #[arg(long)]
    json: bool,
}

const EXAMPLE: &str = "\
Example: errors, and how many of them lie within the intervals that the potential gives
  rhobasis evaluate silicon.rho test.xyz --plot parity.svg --csv errors.csv
Example: five fits, each tested on what it has not seen
  rhobasis evaluate examples/model-silicon.toml --folds 5
Example: how much more data would help
  rhobasis evaluate examples/model-silicon.toml --learning-curve 50,100,200
Example: for a script
  rhobasis evaluate silicon.rho test.xyz --json | jq '.errors[] | [.quantity, .config_type, .rmse]'";

impl Evaluate {
    pub fn files(&self) -> Files {
        self.outputs(Files::reading([&self.model]).and_data(&self.data))
    }

    fn outputs(&self, read: Files) -> Files {
        read.writing("--plot", Holds::Picture, &self.plot).writing("--csv", Holds::Table, &self.csv)
    }

    /// The model file, which names more that is read.
    fn model_file(&self) -> Outcome<ModelFile> {
        if tensors::is_of_tensors(&self.model) {
            let problem =
                "--folds and --learning-curve are for potentials: train this model, and evaluate the .rho file";
            return Err(Failure::usage(problem));
        }
        self.tensor_keys.check(None)?;
        let file = ModelFile::read(&self.model)?;
        self.outputs(file.files()).check()?;
        Ok(file)
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        if let Some(path) = &self.plot {
            output::check(path, &["svg"])?;
        }
        if let Some(path) = &self.csv {
            output::check(path, &["csv"])?;
        }
        let trains = self.model.extension().is_some_and(|e| e == "toml");
        match (trains, self.folds, &self.learning_curve[..]) {
            (false, None, []) => self.compare(out),
            (false, ..) => Err(Failure::usage(
                "--folds and --learning-curve train anew: name a model file, *.toml, instead of a potential",
            )),
            (true, ..) if !self.data.is_empty() => Err(Failure::usage(
                "a model file, *.toml, names its own data: leave DATA out, or name a potential, *.rho",
            )),
            (true, Some(k), []) => self.cross_validate(k, out),
            (true, None, []) => {
                Err(Failure::usage("a model file, *.toml, is evaluated with --folds K or --learning-curve N,N,…"))
            }
            (true, _, sizes) => self.learning_curve(sizes, out),
        }
    }

    /// A potential against labels, frame by frame.
    fn compare(&self, out: &mut dyn Write) -> Outcome {
        if self.data.is_empty() {
            return Err(Failure::usage("name the DATA with the labels to compare with"));
        }
        if tensors::is_model(&self.model) {
            if self.keys.named() != LabelKeys::default() {
                let problem = "--energy-key, --force-key, --stress-key and --virial-key are for potentials, and this is a model \
                               of a tensor: leave them out";
                return Err(Failure::usage(problem));
            }
            let outputs = [&self.plot, &self.csv];
            return tensors::compare(&self.model, &self.data, &self.tensor_keys, outputs, self.json, out);
        }
        self.tensor_keys.check(None)?;
        let potential: Potential = load(&self.model)?;
        let options = self.keys.options(true);
        self.find_labels(&options)?;
        let mut survey = LabelSurvey::new(&self.keys.named());
        let mut comparison = Comparison::default();
        let mut reliability = Reliability::new(&potential);
        let mut places = Vec::new();
        let files = for_each_chunk(Dataset::open(&self.data, &options)?, "predicting", |chunk| {
            let said = labels_of(&chunk, &options, &mut survey)?;
            for (part, labels) in chunk.structures.chunks(64).zip(said.chunks(64)) {
                let first = places.len();
                places.extend_from_slice(&chunk.places[first - chunk.first..][..part.len()]);
                let locate = |e| chunk.locate(e, |frame| frame - chunk.first);
                let predictions = comparison.add(&potential, first, part, labels).map_err(locate)?;
                reliability.add(first, part, labels, &predictions).map_err(locate)?;
            }
            Ok(())
        })?;
        Named::ByFlags(&files).check(&survey)?;
        let several = places.iter().any(|(path, _)| *path != places[0].0);
        let place = |k: usize| match several {
            true => format!("{}, frame {}", places[k].0.display(), places[k].1),
            false => format!("frame {}", places[k].1),
        };
        if self.json {
            let head = json!({ "model": self.model, "frames": places.len(), "intervals": reliability.json() });
            return self.print_json(head, &comparison, place, out);
        }
        field(out, "potential", self.model.display())?;
        field(out, "data", plural(places.len(), "frame"))?;
        writeln!(out)?;
        self.tell(&comparison, place, out)?;
        Ok(reliability.write(out)?)
    }

    /// Refuses a named key that no frame has, and data without any label, before a frame is predicted: reads until all are found,
    /// which few frames show if they are there. What comes out of a pipe can be read once: there, the end tells.
    fn find_labels(&self, options: &Options) -> Result<()> {
        if self.data.iter().any(|spec| is_stream(&path_of(spec))) {
            return Ok(());
        }
        let mut survey = LabelSurvey::new(&self.keys.named());
        let mut chunks = Dataset::open(&self.data, options)?.in_chunks_of(FIRST_LOOK).chunks();
        for chunk in &mut chunks {
            labels_of(&chunk?, options, &mut survey)?;
            if !survey.is_empty() && survey.check_named().is_ok() {
                return Ok(());
            }
        }
        Named::ByFlags(chunks.files()).check(&survey)
    }

    /// Errors for programs, with what is said before them; picture and numbers as ever.
    fn print_json(
        &self,
        mut head: Value,
        comparison: &Comparison,
        place: impl Fn(usize) -> String,
        out: &mut dyn Write,
    ) -> Outcome {
        head["errors"] = errors_json(&comparison.errors, &place);
        comparison.warn_of_close(&place);
        self.write_files(comparison, &place)?;
        Ok(writeln!(out, "{head:#}")?)
    }

    /// Table, picture, numbers.
    fn tell(&self, comparison: &Comparison, place: impl Fn(usize) -> String, out: &mut dyn Write) -> Outcome {
        comparison.warn_of_close(&place);
        write_errors(&comparison.errors, &place, out)?;
        for path in self.write_files(comparison, &place)? {
            writeln!(out, "wrote {}", path.display())?;
        }
        Ok(())
    }

    /// Picture and numbers, as far as they are asked for; what was written.
    fn write_files(&self, comparison: &Comparison, place: impl Fn(usize) -> String) -> Result<Vec<&Path>> {
        let mut written = Vec::new();
        if let Some(path) = &self.plot
            && write_parity(path, &[("test", comparison)])?
        {
            written.push(path.as_path());
        }
        if let Some(path) = &self.csv {
            output::write_text(path, &errors_csv(&comparison.errors, &place))?;
            written.push(path);
        }
        Ok(written)
    }

    fn cross_validate(&self, k: usize, out: &mut dyn Write) -> Outcome {
        let file = self.model_file()?;
        let data = read_training(&file)?;
        let settings = file.settings(&data.frames, &data.labels)?;
        let folds = folds(&data.frames, k, self.seed.unwrap_or(file.seed))?;
        let mut make =
            |frames: &[_], labels: &[_]| make_basis(&file.basis, Some(&settings), frames, labels, &data.files);
        let (frames, labels) = (&data.frames, &data.labels);
        let done = cross_validate(&mut make, &settings, frames, labels, &folds, &mut progress(String::new()))
            .map_err(|e| data.locate(e))?;
        let mut comparison = Comparison::default();
        for (i, prediction) in done.predictions.iter().enumerate() {
            if let Some(prediction) = prediction {
                comparison.add_one(i, &data.frames[i], &data.labels[i], prediction)?;
            }
        }
        let tested = |fold: usize| folds.iter().zip(&done.predictions).filter(move |(f, p)| **f == fold && p.is_some());
        let size = |fold: usize| tested(fold).count();
        if self.json {
            let of_fold = |(fold, errors): (usize, &Errors)| json!({ "fold": fold, "frames": size(fold), "errors": errors_json(errors, |i| data.place(i)) });
            let folds: Vec<Value> = done.by_fold.iter().enumerate().map(of_fold).collect();
            let head = json!({ "model": self.model, "frames": data.len(), "folds": folds });
            return self.print_json(head, &comparison, |i| data.place(i), out);
        }
        field(out, "model", self.model.display())?;
        field(out, "data", plural(data.len(), "frame"))?;
        let sizes: Vec<String> = (0..k).map(|fold| count(size(fold))).collect();
        field(out, "folds", format!("{k}, of {} frames; each is predicted by a fit to the others", sizes.join(", ")))?;
        writeln!(out)?;
        let mut table = Table::new(["RMSE of fold"].map(String::from).into_iter().chain((0..k).map(|f| f.to_string())));
        for quantity in Quantity::ALL.into_iter().filter(|&q| done.errors.of(q, None).count > 0) {
            let rmse = done.by_fold.iter().map(|errors| short(errors.of(quantity, None).rmse()));
            table.row(std::iter::once(row_name(quantity, None)).chain(rmse));
        }
        table.write(out)?;
        writeln!(out)?;
        self.tell(&comparison, |i| data.place(i), out)
    }

    fn learning_curve(&self, sizes: &[usize], out: &mut dyn Write) -> Outcome {
        let file = self.model_file()?;
        let (train, test) = read(&file)?;
        if test.len() == 0 {
            let remedy = "add test = [\"FILE.xyz\"] or test_fraction = 0.2 to [data]";
            return Err(Error::file(&self.model, "a learning curve needs test frames", remedy).into());
        }
        if test.labels.iter().all(|said| *said == Labels::default()) {
            let keys = LabelSurvey::new(&file.keys).keys().join(", ");
            let problem = format!("no test frame has a label under {keys}");
            return Err(Error::file(&self.model, problem, "name test frames that have some, or their keys").into());
        }
        let n_train = train.len();
        let (data, n) = train.and(test);
        let settings = file.settings(&data.frames[..n_train], &data.labels[..n_train])?;
        let [on, with]: [Vec<usize>; 2] = [(0..n_train).collect(), (n_train..n).collect()];
        let seed = self.seed.unwrap_or(file.seed);
        let mut make =
            |frames: &[_], labels: &[_]| make_basis(&file.basis, Some(&settings), frames, labels, &data.files);
        let (frames, labels) = (&data.frames, &data.labels);
        let curve = learning_curve(
            &mut make,
            &settings,
            frames,
            labels,
            [&on, &with],
            sizes,
            seed,
            &mut progress(String::new()),
        )
        .map_err(|e| data.locate(e))?;
        let quantities: Vec<Quantity> = Quantity::ALL
            .into_iter()
            .filter(|&q| curve.iter().any(|(_, errors)| errors.of(q, None).count > 0))
            .collect();
        if self.json {
            let of_size = |(size, errors): &(usize, Errors)| json!({ "frames": size, "errors": errors_json(errors, |i| data.place(i)) });
            let curve_json: Vec<Value> = curve.iter().map(of_size).collect();
            self.write_curve_files(&curve, &quantities)?;
            let object = json!({ "model": self.model, "frames": n_train, "test_frames": n - n_train, "learning_curve": curve_json });
            return Ok(writeln!(out, "{object:#}")?);
        }
        field(out, "model", self.model.display())?;
        field(out, "data", format!("{} to train on, {} to test with", plural(n_train, "frame"), count(n - n_train)))?;
        writeln!(out)?;
        let header = quantities.iter().map(|q| format!("{} ({})", q.name(), q.unit()));
        let mut table = Table::new(std::iter::once("RMSE / MAE at".to_string()).chain(header));
        let cell = |errors: &Errors, q: Quantity| {
            let sum = errors.of(q, None);
            format!("{} / {}", short(sum.rmse()), short(sum.mae()))
        };
        for (size, errors) in &curve {
            let cells = quantities.iter().map(|&q| cell(errors, q));
            table.row(std::iter::once(plural(*size, "frame")).chain(cells));
        }
        table.write(out)?;
        for path in self.write_curve_files(&curve, &quantities)? {
            writeln!(out, "wrote {}", path.display())?;
        }
        Ok(())
    }

    /// Numbers and picture of a learning curve, as far as they are asked for; what was written.
    fn write_curve_files(&self, curve: &[(usize, Errors)], quantities: &[Quantity]) -> Result<Vec<&Path>> {
        let mut written = Vec::new();
        if let Some(path) = &self.csv {
            let mut text = "frames,quantity,unit,count,rmse,mae\n".to_string();
            for (size, errors) in curve {
                for &q in quantities {
                    let sum = errors.of(q, None);
                    text +=
                        &format!("{size},{},{},{},{:?},{:?}\n", q.name(), q.unit(), sum.count, sum.rmse(), sum.mae());
                }
            }
            output::write_text(path, &text)?;
            written.push(path.as_path());
        }
        if let Some(path) = &self.plot {
            write_curve(path, curve, quantities)?;
            written.push(path);
        }
        Ok(written)
    }
}

/// RMSE over the number of frames, on logarithmic axes.
fn write_curve(path: &std::path::Path, curve: &[(usize, Errors)], quantities: &[Quantity]) -> Result<()> {
    use crate::plot::{self, Panel, Series};
    let panel = |&q: &Quantity| {
        let points = curve.iter().map(|(n, errors)| (*n as f64, errors.of(q, None).rmse())).collect();
        Panel::new(q.name(), "training frames", format!("RMSE, {}", q.unit()))
            .log_log()
            .series(Series::marked("test", points))
    };
    let panels: Vec<Panel> = quantities.iter().map(panel).collect();
    plot::write(path, &panels, 2)
}

/// A bar for each fit and each test, of what is `named` so.
pub fn progress(named: String) -> impl FnMut(Progress) {
    let mut bar: Option<(usize, bool, crate::progress::Progress)> = None;
    move |progress: Progress| {
        let Progress { fit, of, testing, done, frames, .. } = progress;
        if bar.as_ref().is_none_or(|(f, t, _)| (*f, *t) != (fit, testing)) {
            if let Some((.., bar)) = bar.take() {
                bar.finish_and_clear();
            }
            let doing = format!("{named}{} {} of {of}", if testing { "test" } else { "fit" }, fit + 1);
            bar = Some((fit, testing, frames_bar(frames, &doing)));
        }
        if let Some((.., shown)) = &bar {
            shown.set_position(done as u64);
            if testing && done == frames {
                shown.finish_and_clear();
            }
        }
    }
}
