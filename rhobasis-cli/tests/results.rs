//! Results that are there already: refused before any work, replaced by --force, gone on with where the command does.

use std::fs;

mod common;

use common::{Place, bundled, molecules, says};

/// Settings small enough for a test.
const SMALL: &[&str] = &["--r-cut", "4", "--n-max", "4", "--l-max", "2", "--spline-accuracy", "1e-4"];

/// A folder in which a command is given again, and again.
struct Twice<'a> {
    place: &'a Place,
    /// What the commands read, which they must not even look for.
    read: &'a [&'a str],
}

impl Twice<'_> {
    /// The command must refuse to write over each of the files that it has written, without a look at what it reads, and do so with
    /// --force.
    fn refuses(&self, args: &[&str], written: &[&str]) {
        let Twice { place, read } = self;
        let refusal = "is there already, and would be replaced; give another name, or use --force to replace it";
        place.ok(args);
        let whole: Vec<Vec<u8>> = written.iter().map(|name| place.bytes(name)).collect();
        for name in written {
            // This one alone, and what is read under another name.
            let others: Vec<&str> = written.iter().chain(*read).copied().filter(|other| other != name).collect();
            let hidden = |other: &&&str| (place.path(other), place.path(&format!("hidden-{other}")));
            let there: Vec<_> = others.iter().filter(|other| place.path(other).exists()).collect();
            there.iter().map(hidden).for_each(|(from, to)| fs::rename(from, to).unwrap());
            place.refused(1, args, &[&format!("{name}: {refusal}")]);
            there.iter().map(hidden).for_each(|(from, to)| fs::rename(to, from).unwrap());
        }
        place.ok(&[args, &["--force"]].concat());
        for (name, bytes) in written.iter().zip(whole) {
            assert!(place.bytes(name) == bytes, "{args:?}: {name} has changed");
        }
    }
}

#[test]
fn no_command_replaces_its_result_unless_it_is_told_to() {
    let place = Place::of(&[("a.xyz", molecules(12))]);
    let twice = Twice { place: &place, read: &["a.xyz", "b.rho"] };
    let read_only = Twice { place: &place, read: &["a.xyz"] };
    read_only.refuses(&[&["fit", "a.xyz", "-o", "b.rho"], SMALL].concat(), &["b.rho"]);
    twice.refuses(&[&["fit", "a.xyz", "-o", "b.cov"], SMALL].concat(), &["b.cov"]);
    twice.refuses(&["merge", "b.cov", "-o", "m.rho", "--q-max", "2"], &["m.rho"]);
    let tables = ["t-eigenvalues.csv", "t-residual-variance.csv", "t-functions.csv"];
    twice.refuses(&["show", "b.rho", "--plot", "s.svg"], &["s.svg"]);
    twice.refuses(&["show", "b.rho", "--csv", "t"], &tables);
    twice.refuses(&["plan", "b.rho", "--data", "a.xyz", "--nu", "2", "--csv", "p.csv"], &["p.csv"]);
    twice.refuses(&["plan", "b.rho", "--data", "a.xyz", "--nu", "2", "--plot", "p.svg"], &["p.svg"]);
    let features = ["features", "a.xyz", "--basis", "b.rho", "--kind"];
    twice.refuses(&[&features[..], &["power-spectrum", "-o", "X.npz"]].concat(), &["X.npz"]);
    twice.refuses(&[&features[..], &["power-spectrum", "-o", "Y.npy"]].concat(), &["Y.npy", "Y.meta.npz"]);
    let nice = ["nice", "--nu-max", "2", "--save-nice", "n.nice", "--save-sample", "n.sample"];
    twice.refuses(&[&features[..], &nice[..]].concat(), &["n.nice", "n.sample"]);
    twice.refuses(&["select", "Y.npy", "-n", "3", "-o", "picked.npz"], &["picked.npz"]);
    twice.refuses(&["export", "b.rho", "--to", "featomic", "-o", "e.json"], &["e.json"]);
    twice.refuses(&["export", "b.rho", "--to", "csv", "-o", "e.csv"], &["e.csv"]);
    twice.refuses(&["new", "a.xyz", "-o", "model.toml"], &["model.toml"]);
}

const MODEL: &str = "\
[basis]
r_cut = 4.0
sigma = 0.5
n_max = 4
l_max = 2
q_max = 2
spline_accuracy = 1e-4
[model]
alpha = 1e-8
";

/// A folder with a model file of a few frames of silicon.
fn of_silicon() -> Place {
    let [train, test] = ["@::12", "@1::60"].map(|slice| bundled("silicon.xyz.xz") + slice);
    let text = format!("[data]\ntrain = \"{train}\"\ntest = \"{test}\"\n{MODEL}");
    Place::of(&[("model.toml", text)])
}

#[test]
fn nor_do_those_of_potentials() {
    let place = of_silicon();
    let data = bundled("silicon.xyz.xz@:3");
    let start = bundled("silicon.xyz.xz@0");
    let twice = Twice { place: &place, read: &["model.toml", "p.rho"] };
    let trains = Twice { place: &place, read: &[] }; // of which kind the result is, the model file says
    trains.refuses(&["train", "model.toml", "-o", "p.rho"], &["p.rho", "p.parity.svg"]);
    twice.refuses(&["predict", "p.rho", &data, "-o", "q.xyz"], &["q.xyz"]);
    twice.refuses(&["evaluate", "p.rho", &data, "--csv", "e.csv"], &["e.csv"]);
    twice.refuses(&["evaluate", "p.rho", &data, "--plot", "e.svg"], &["e.svg"]);
    twice.refuses(&["evaluate", "model.toml", "--learning-curve", "4,8", "--plot", "c.svg"], &["c.svg"]);
    twice.refuses(
        &["select", &data, "--potential", "p.rho", "--method", "leverage", "-n", "2", "-o", "l.xyz"],
        &["l.xyz"],
    );
    let hot = ["md", "p.rho", &start, "--steps", "4", "--every", "1", "--temperature", "9000"];
    twice.refuses(&[&hot[..], &["-o", "t.xyz"]].concat(), &["t.xyz"]);
    twice.refuses(&[&hot[..], &["--dump-above", "0.001", "d.xyz"]].concat(), &["d.xyz"]);
    twice.refuses(&["relax", "p.rho", &start, "--max-steps", "2", "-o", "r.xyz"], &["r.xyz"]);
}

#[test]
fn a_command_that_goes_on_with_its_files_needs_no_force() {
    let place = of_silicon().with("a.xyz", molecules(12));
    // Dynamics from their checkpoint, also for more steps.
    place.ok(&["train", "model.toml", "-o", "p.rho", "--no-plot"]);
    let start = bundled("silicon.xyz.xz@0");
    let md = |steps| place.ok(&["md", "p.rho", &start, "--steps", steps, "-o", "t.xyz", "--checkpoint", "t.md"]);
    md("20");
    md("40");
    assert_eq!(place.read("t.xyz").len(), 5);
    // Another run has another checkpoint, and must not write into this trajectory.
    place.refused(
        1,
        &["md", "p.rho", &start, "--steps", "20", "-o", "t.xyz", "--checkpoint", "u.md"],
        &["t.xyz", "--force"],
    );
    // Trials.
    let tune = ["tune", "model.toml", "-o", "u.toml", "--folds", "2", "--budget", "0"];
    place.ok(&tune);
    place.ok(&tune);
    fs::remove_file(place.path("u.trials.jsonl")).unwrap();
    place.refused(1, &tune, &["u.toml: is there already", "--force"]);
    // Pieces of a matrix.
    place.ok(&[&["fit", "a.xyz", "-o", "b.rho"], SMALL].concat());
    let pieces = ["features", "a.xyz", "--basis", "b.rho", "-o", "X.npy", "--chunk-rows", "10"];
    place.ok(&pieces);
    says(&place.ok(&pieces), &["30 rows are there already"]);
    // A fit whose output is written, and which was killed before its checkpoint was removed.
    let fit = [&["fit", "a.xyz", "-o", "c.rho", "--checkpoint", "c.ckpt"], SMALL].concat();
    place.ok(&fit);
    place.refused(1, &fit, &["c.rho: is there already"]);
    let expected = place.bytes("c.rho");
    let many = Place::of(&[("a.xyz", molecules(12).repeat(200))]);
    let mut child = many.command(&[&fit[..], &["--checkpoint-every", "0", "--threads", "1"]].concat()).spawn().unwrap();
    while !many.path("c.ckpt").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
    if many.path("c.ckpt").exists() {
        fs::write(many.path("c.rho"), &expected).unwrap();
        many.ok(&fit);
        assert!(many.bytes("c.rho") != expected && !many.path("c.ckpt").exists());
    }
}

#[test]
fn the_demo_replaces_no_file_of_a_folder_that_is_not_its_own() {
    let place = Place::of(&[("a.xyz", molecules(12))]);
    place.ok(&[&["fit", "a.xyz", "-o", "silicon.rho"], SMALL].concat());
    place.refused(1, &["demo", "-o", "."], &["silicon.rho: is there already", "--force"]);
}

#[test]
fn an_empty_file_is_no_result() {
    let place = Place::of(&[("a.xyz", molecules(12)), ("b.rho", String::new())]);
    place.ok(&[&["fit", "a.xyz", "-o", "b.rho"], SMALL].concat());
}
