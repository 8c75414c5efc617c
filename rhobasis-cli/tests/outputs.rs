//! Where results go: nothing that is read is overwritten, nothing of another kind replaced, nothing half-written stays.
#![cfg(unix)]

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

mod common;

use common::{Place, molecules, said};

/// Settings small enough for a test.
const SMALL: &str = "--r-cut 4 --n-max 5 --l-max 2 --spline-accuracy 1e-5";

/// A folder with a file of molecules, and a shell in it.
struct Shell(Place);

impl Deref for Shell {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.0
    }
}

impl Shell {
    fn new(frames: usize) -> Self {
        Shell(Place::new().with("a.xyz", molecules(frames)))
    }

    /// A line for bash, in which `rhobasis` is the command.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        let line = line.replace("rhobasis ", &format!("{} ", env!("CARGO_BIN_EXE_rhobasis")));
        command.args(["-c", &format!("set -o pipefail; {line}")]).current_dir(self.folder());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.shell(line).output().unwrap()
    }

    fn ok(&self, line: &str) -> String {
        said(self.succeeds(&mut self.shell(line)).stdout)
    }

    /// Runs a line that must end with 1, say all of `words`, and change nothing.
    fn refused(&self, line: &str, words: &[&str]) {
        self.fails(1, &mut self.shell(line), words);
    }
}

#[test]
fn no_output_replaces_what_is_read() {
    let place = Shell::new(8);
    let fit = |output: &str, more: &str| place.ok(&format!("rhobasis fit a.xyz -o {output} {SMALL} {more}"));
    fit("b.rho", "");
    fit("b.cov", "");
    place.ok("rhobasis features a.xyz --basis b.rho --kind power-spectrum -o X.npy");
    place.ok("rhobasis select X.npy -n 4 -o picked.npz");
    fs::hard_link(place.path("picked.npz"), place.path("same.npz")).unwrap();
    symlink("b.cov", place.path("link.cov")).unwrap();
    let overwritten = "is read by this command, and would be overwritten; give the output another name";
    place.refused("rhobasis merge b.cov -o link.cov", &["link.cov", overwritten]);
    place.refused("rhobasis select X.npy -n 4 -o X.meta.npz", &["X.meta.npz", overwritten]);
    let features = "rhobasis features a.xyz --basis b.rho --kind power-spectrum --columns picked.npz";
    place.refused(&format!("{features} -o same.npz"), &["same.npz", overwritten]);
    place.refused(&format!("{features} -o ./picked.npz"), &["picked.npz", overwritten]);
    fs::rename(place.path("a.xyz"), place.path("a.csv")).unwrap();
    place.refused("rhobasis plan b.rho --data a.csv@:3 --csv a.csv --nu 2", &["a.csv", overwritten]);
    let same = place.run("rhobasis plan b.rho --nu 2 --csv t.csv --plot ./t.csv");
    assert_eq!(same.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&same.stderr).contains("--csv and --plot name the same file"));
}

#[test]
fn a_file_of_another_kind_is_not_replaced() {
    let place = Shell::new(8);
    place.ok(&format!("rhobasis fit a.xyz -o b.rho {SMALL}"));
    let fit = |output: &str| format!("rhobasis fit a.xyz -o {output} {SMALL}");
    let remedy = "write under another name, or remove the file first";
    for (name, content, kind) in [
        ("structures.rho", molecules(1), "a file of structures"),
        ("notes.cov", "to do: measure\n".into(), "a text"),
        ("picture.rho", "<svg></svg>".into(), "a picture"),
    ] {
        fs::write(place.path(name), content).unwrap();
        place.refused(&fit(name), &[name, kind, "which would be replaced by a rhobasis file of kind", remedy]);
    }
    fs::copy(place.path("b.rho"), place.path("basis.cov")).unwrap();
    place.refused(&fit("basis.cov"), &["of kind 'basis'", "of kind 'covariance'", remedy]);
    fs::copy(place.path("b.rho"), place.path("basis.npz")).unwrap();
    let features = "rhobasis features a.xyz --basis b.rho -o";
    place.refused(&format!("{features} basis.npz"), &["basis.npz", "of kind 'basis'", remedy]);
    fs::copy(place.path("a.xyz"), place.path("X.meta.npz")).unwrap();
    place.refused(&format!("{features} X.npy"), &["X.meta.npz", "a file of structures", remedy]);
    fs::write(place.path("si.cif"), "data_Si\n_cell_length_a 5.43\n").unwrap();
    place.refused("rhobasis plan b.rho --nu 2 --csv si.cif", &["is a CIF, which would be replaced by a text", remedy]);
    // Nor with --force, with which one of the same kind is; an empty file is in any case.
    place.refused(&(fit("structures.rho") + " --force"), &["a file of structures", remedy]);
    fs::write(place.path("empty.rho"), "").unwrap();
    place.ok(&fit("empty.rho"));
    place.ok(&(fit("b.rho") + " --force"));
}

#[test]
fn a_link_stays_and_the_file_it_leads_to_keeps_its_permissions() {
    let place = Shell::new(4);
    fs::create_dir(place.path("there")).unwrap();
    fs::write(place.path("there/b.rho"), "").unwrap();
    fs::set_permissions(place.path("there/b.rho"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("there/b.rho", place.path("link.rho")).unwrap();
    symlink("there/new.rho", place.path("dangling.rho")).unwrap();
    for name in ["link.rho", "dangling.rho"] {
        place.ok(&format!("rhobasis fit a.xyz -o {name} {SMALL}"));
        assert!(place.path(name).is_symlink());
        place.ok(&format!("rhobasis show {name}"));
    }
    assert_eq!(fs::metadata(place.path("there/b.rho")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(place.path("there/b.rho")).unwrap(), fs::read(place.path("there/new.rho")).unwrap());
    assert_eq!(fs::read_dir(place.path("there")).unwrap().count(), 2);
}

#[test]
fn pipes_and_devices_are_written_to_and_stay() {
    let place = Shell::new(6);
    let fit = format!("rhobasis fit a.xyz {SMALL}");
    place.ok(&format!("{fit} -o b.rho"));
    let said = place.ok(&format!("{fit} -o /dev/stdout > out.rho 2> said"));
    assert_eq!(said, "");
    place.ok(&format!("{fit} -o >(cat > substituted.rho) && sleep 0.2"));
    place.ok(&format!("mkfifo pipe.rho; cat pipe.rho > piped.rho & {fit} -o pipe.rho && wait"));
    for name in ["out.rho", "substituted.rho", "piped.rho"] {
        assert!(fs::read(place.path(name)).unwrap() == fs::read(place.path("b.rho")).unwrap(), "{name}");
    }
    assert!(fs::read_to_string(place.path("said")).unwrap().contains("wrote /dev/stdout"));
    assert!(fs::metadata(place.path("pipe.rho")).unwrap().file_type().is_fifo());
    place.ok(&format!("{fit} -o /dev/null"));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    place.ok("rhobasis features a.xyz --basis b.rho -o X.npz");
    place.ok("rhobasis features a.xyz --basis b.rho -o /dev/stdout 2> said | cat > piped.npz");
    assert!(fs::read(place.path("piped.npz")).unwrap() == fs::read(place.path("X.npz")).unwrap());
    fs::remove_file(place.path("pipe.rho")).unwrap();
    place.ok("mkfifo X.npy");
    let matrix = place.run("rhobasis features a.xyz --basis b.rho -o X.npy");
    assert!(String::from_utf8_lossy(&matrix.stderr).contains("X.npy: is a pipe or a device"));
}

#[test]
fn a_closed_or_full_terminal_is_no_panic() {
    let place = Shell::new(600);
    let fit = format!("rhobasis fit a.xyz -o b.rho {SMALL}");
    for (redirection, code) in [("2>&-", 0), (">&-", 0), ("2>/dev/full", 0), ("| head -0", 0), ("> /dev/full", 1)] {
        let output = place.run(&format!("{fit} {redirection}"));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && !message.contains("panicked"), "{redirection}: {message}");
        assert_eq!(message.contains("error: standard output: No space left on device"), code == 1, "{message}");
        fs::remove_file(place.path("b.rho")).unwrap(); // in any case
    }
    for line in ["rhobasis --help > /dev/full", "rhobasis fit a.xyz -o a.xyz 2> /dev/full", "rhobasis fit --no 2>&-"] {
        let code = place.run(line).status.code();
        assert!(code == Some(1) || code == Some(2), "{line}: {code:?}");
    }
}

#[test]
fn a_full_disk_is_named_with_the_file_and_leaves_the_old_one() {
    let place = Shell::new(400);
    place.ok(&format!("rhobasis fit a.xyz@:9 -o b.rho {SMALL}"));
    place.ok("rhobasis features a.xyz@:9 --basis b.rho -o X.npz");
    let full = "trap '' XFSZ; ulimit -f 8;"; // files of more than 8 kB fail, as on a full disk
    place.refused(&format!("{full} rhobasis fit a.xyz -o b.rho {SMALL} --force"), &["b.rho: File too large"]);
    place
        .refused(&format!("{full} rhobasis features a.xyz --basis b.rho -o X.npz --force"), &["X.npz: File too large"]);
    place.refused(&format!("{full} rhobasis features a.xyz --basis b.rho -o Y.npy"), &["Y.npy: File too large"]);
    place.refused(&format!("rhobasis fit a.xyz -o /dev/full {SMALL}"), &["/dev/full: No space left on device"]);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_and_what_is_being_written_is_not() {
    let place = Shell::new(8);
    let fit = format!("rhobasis fit a.xyz -o b.rho {SMALL}");
    let others = [".b.rho.1-2.part.txt", ".other.rho.1-2.part", ".b.rho.mine.part"];
    for name in others.into_iter().chain([".b.rho.1-2.part"]) {
        fs::write(place.path(name), "half").unwrap();
    }
    fs::write(place.path(".b.rho.3-4.part"), "half").unwrap();
    let mut holder = place
        .shell("exec 9<>.b.rho.3-4.part; flock 9; echo held; read")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "held\n");
    place.ok(&fit);
    let found = place.names();
    assert!(others.iter().chain(&[".b.rho.3-4.part"]).all(|name| found.contains(&(*name).to_string())), "{found:?}");
    assert!(!found.contains(&".b.rho.1-2.part".to_string()));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    place.ok(&(fit + " --force"));
    assert!(!place.path(".b.rho.3-4.part").exists());
}

/// Sends a signal, and waits for the end.
fn interrupt(child: Child, signal: i32) -> (ExitStatus, String) {
    // SAFETY: a call of the C library with a process of ours that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "no {} in two minutes", path.display());
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_interrupted_fit_says_what_is_kept_and_goes_on_with_the_same_bytes() {
    let place = Shell::new(12_000);
    let settings = format!("a.xyz {SMALL} --threads 1");
    place.ok(&format!("rhobasis fit {settings} -o expected.rho"));
    for (signal, code, name) in [(libc::SIGINT, 130, "SIGINT"), (libc::SIGTERM, 143, "SIGTERM")] {
        let line = format!("exec rhobasis fit {settings} -o found.rho --checkpoint c.ckpt --checkpoint-every 0");
        let mut child = place.shell(&line).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        wait_for(&place.path("c.ckpt"));
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        let (status, message) = interrupt(child, signal);
        assert_eq!(status.code(), Some(code), "{message}");
        let kept = message.lines().last().unwrap();
        assert!(kept.starts_with(&format!("interrupted by {name}: ")), "{message}");
        assert!(kept.ends_with("frames are in c.ckpt; the same command goes on"), "{message}");
        assert_eq!(place.names(), ["a.xyz", "c.ckpt", "expected.rho"]);
        let again = place.run(&line);
        let frames = kept.split_whitespace().nth(3).unwrap();
        let message = String::from_utf8(again.stderr).unwrap();
        assert!(message.contains(&format!("continuing from c.ckpt: {frames} frames done")), "{kept}: {message}");
        assert!(fs::read(place.path("found.rho")).unwrap() == fs::read(place.path("expected.rho")).unwrap());
        fs::remove_file(place.path("found.rho")).unwrap();
    }
}

#[test]
fn interrupted_features_keep_the_pieces_that_are_complete() {
    let place = Shell::new(12_000);
    place.ok(&format!("rhobasis fit a.xyz@:9 -o b.rho {SMALL}"));
    let line = "exec rhobasis features a.xyz --basis b.rho --kind bispectrum -o X.npy --chunk-rows 500 --threads 1";
    let mut child = place.shell(line).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for(&place.path("X-00002.npy"));
    assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
    let (status, message) = interrupt(child, libc::SIGINT);
    assert_eq!(status.code(), Some(130), "{message}");
    assert!(message.contains("rows are in X-00000.npy, …; the same command goes on"), "{message}");
    assert!(place.names().iter().all(|name| !name.ends_with(".part")), "{:?}", place.names());
}

#[test]
fn work_that_keeps_nothing_ends_at_once() {
    let place = Shell::new(12_000);
    let line = format!("exec rhobasis plan a.xyz --nu 3 --csv t.csv {SMALL} --threads 1");
    let child = place.shell(&line).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(150));
    let (status, message) = interrupt(child, libc::SIGINT);
    if status.code() == Some(130) {
        assert!(message.contains("interrupted by SIGINT: nothing was written"), "{message}");
    } // else it came before the command listened, or after its end
    assert!(place.names().iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn runs_that_are_killed_at_any_moment_leave_no_half_file() {
    let script = format!("{}/../benches/kills.py", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3").args([&script, env!("CARGO_BIN_EXE_rhobasis"), "10"]).output().unwrap();
    let (said, message) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{message}");
}
