//! The `rhobasis` command, as a library: the binary and the Python package run the same [`run`].

mod checkpoint;
mod coverage;
mod demo;
mod driver;
mod elastic;
mod errors_table;
mod evaluate;
mod export;
mod failure;
mod features;
mod files;
mod fit;
mod info;
mod input;
mod interrupt;
mod ipi;
mod label_check;
mod label_keys;
mod label_next;
mod labelled;
mod lammps;
mod made_by;
mod make_basis;
mod map;
mod matrix;
mod md;
mod merge;
mod merge_rows;
mod method;
mod model_file;
mod new;
mod nice;
mod nice_fit;
mod npy;
mod npy_read;
mod output;
mod plan;
mod plot;
mod predict;
mod predicted;
mod printer;
mod progress;
mod python;
mod relax;
mod select;
mod settings;
mod shell;
mod show;
mod show_data;
mod show_potential;
mod signals;
mod tensors;
mod text;
mod toml_file;
mod train;
mod train_parts;
mod trajectory;
mod tune;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::{Failure, Outcome};
use files::{Files, replace_results};
use printer::Printer;
use text::be_quiet;

/// Finds the most compact radial basis for the atom densities of a data set, and computes with it.
///
/// DATA is an extended XYZ file, plain or packed with gzip, Zstandard or xz; `file@start:stop:step` takes some of its
/// frames, as in ASE.
#[derive(Parser)]
#[command(name = "rhobasis", version, arg_required_else_help = true, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Threads to use; all cores if not given. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Say nothing but results, warnings and errors: no notes, no progress (which otherwise is a bar on a terminal, and in a
    /// log a line for each tenth of the work, or each minute)
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Replace results that are there already, which is refused otherwise, before any work. What the command reads, and files
    /// that hold something else, are never replaced
    #[arg(long, global = true)]
    force: bool,
}

const EXAMPLE: &str = "\
Example:
  rhobasis demo
  rhobasis info silicon.xyz
  rhobasis fit silicon.xyz -o silicon.rho --r-cut 6 --sigma 0.5
  rhobasis fit silicon.xyz -o silicon.rho --r-cut 5 --sigma 0.5 --force
  rhobasis show silicon.rho --plot silicon.svg
  rhobasis plan silicon.xyz --nu 3 --retain 0.99 --r-cut 6 --sigma 0.5
  rhobasis features silicon.xyz --basis silicon.rho --kind power-spectrum -o X.npz
  rhobasis select X.npz --method cur -n 50 -o picked.npz
  rhobasis export silicon.rho --to featomic -o silicon.json
  rhobasis new silicon.xyz -o model.toml
  rhobasis train model.toml -o potential.rho
  rhobasis tune model.toml -o tuned.toml
  rhobasis predict potential.rho new.xyz -o predicted.xyz
  rhobasis evaluate potential.rho test.xyz
  rhobasis md potential.rho silicon.xyz@0 --steps 1000
  rhobasis relax potential.rho silicon.xyz@0 --cell -o relaxed.xyz
  rhobasis elastic potential.rho silicon.xyz@0
  rhobasis ipi potential.rho --template silicon.xyz@0 --unix silicon
  rhobasis lammps potential.rho
  rhobasis map silicon.xyz --potential potential.rho -o map.html
  rhobasis completions bash > ~/.local/share/bash-completion/completions/rhobasis
  rhobasis man ~/.local/share/man/man1";

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Info(info::Info),
    Fit(fit::Fit),
    Merge(merge::Merge),
    Show(show::Show),
    Plan(plan::Plan),
    Features(features::Features),
    Select(select::Select),
    Export(export::Export),
    New(new::New),
    Train(train::Train),
    Tune(tune::Tune),
    Predict(predict::Predict),
    Evaluate(evaluate::Evaluate),
    Md(md::Md),
    Relax(relax::Relax),
    Elastic(elastic::Elastic),
    Ipi(ipi::Ipi),
    Lammps(lammps::Lammps),
    Map(map::Map),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Runs the command with these arguments, the first being its name; returns the exit code: 0 done, 1 bad input (the message
/// is on standard error), 2 wrong usage, 128 + n ended by signal n.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(args);
    let cli = matches.and_then(|matches| {
        made_by::note(&command, &matches);
        Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
    });
    let cli = match cli {
        Ok(cli) => cli,
        Err(e) => {
            return match e.print() {
                // Help is all that was asked for; that nobody reads on is no failure.
                Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Failure::Output(e).report(),
                _ => e.exit_code(),
            };
        }
    };
    be_quiet(cli.quiet);
    replace_results(cli.force);
    interrupt::watch();
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(n) = cli.threads {
        pool = pool.num_threads(n.into());
    }
    let outcome = match pool.build() {
        Ok(pool) => pool.install(|| dispatch(cli.verb)),
        Err(e) => Err(Failure::usage(format!("the threads cannot be started: {e}"))),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

fn dispatch(verb: Verb) -> Outcome {
    let files = files_of(&verb);
    files.check()?;
    let mut out = Printer::new(files.are_written(), files.take_standard_output());
    match verb {
        Verb::Demo(demo) => demo.run(&mut out)?,
        Verb::Info(info) => info.run(&mut out)?,
        Verb::Fit(fit) => fit.run(&mut out)?,
        Verb::Merge(merge) => merge.run(&mut out)?,
        Verb::Show(show) => show.run(&mut out)?,
        Verb::Plan(plan) => plan.run(&mut out)?,
        Verb::Features(features) => features.run(&mut out)?,
        Verb::Select(select) => select.run(&mut out)?,
        Verb::Export(export) => export.run(&mut out)?,
        Verb::New(new) => new.run(&mut out)?,
        Verb::Train(train) => train.run(&mut out)?,
        Verb::Tune(tune) => tune.run(&mut out)?,
        Verb::Predict(predict) => predict.run(&mut out)?,
        Verb::Evaluate(evaluate) => evaluate.run(&mut out)?,
        Verb::Md(md) => md.run(&mut out)?,
        Verb::Relax(relax) => relax.run(&mut out)?,
        Verb::Elastic(elastic) => elastic.run(&mut out)?,
        Verb::Ipi(ipi) => ipi.run(&mut out)?,
        Verb::Lammps(lammps) => lammps.run(&mut out)?,
        Verb::Map(map) => map.run()?,
        Verb::Completions(completions) => completions.run(Cli::command(), &mut out)?,
        Verb::Man(man) => man.run(Cli::command(), &mut out)?,
    }
    Ok(out.finish()?)
}

/// What it reads and writes.
fn files_of(verb: &Verb) -> Files {
    match verb {
        Verb::Demo(_) | Verb::Info(_) => Files::default(), // the one makes what it reads, the other only prints
        Verb::Fit(fit) => fit.files(),
        Verb::Merge(merge) => merge.files(),
        Verb::Show(show) => show.files(),
        Verb::Plan(plan) => plan.files(),
        Verb::Features(features) => features.files(),
        Verb::Select(select) => select.files(),
        Verb::Export(export) => export.files(),
        Verb::New(new) => new.files(),
        Verb::Train(train) => train.files(),
        Verb::Tune(tune) => tune.files(),
        Verb::Predict(predict) => predict.files(),
        Verb::Evaluate(evaluate) => evaluate.files(),
        Verb::Md(md) => md.files(),
        Verb::Relax(relax) => relax.files(),
        Verb::Elastic(elastic) => elastic.files(),
        Verb::Ipi(ipi) => ipi.files(),
        Verb::Lammps(lammps) => lammps.files(),
        Verb::Map(map) => map.files(),
        Verb::Completions(_) | Verb::Man(_) => Files::default(), // a script is printed, pages bear names of ours
    }
}
