//! What the tests of the command share: a folder in which it runs, and what a user may expect of it.
#![allow(dead_code)] // each test file uses a part

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rhobasis::Structure;
use rhobasis::extxyz::{Options, read};
use tempfile::TempDir;

/// No refusal takes longer.
const SOON: Duration = Duration::from_secs(60);

/// A folder in which the command runs.
pub struct Place(TempDir);

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    /// One with these files.
    pub fn of(files: &[(&str, impl AsRef<[u8]>)]) -> Self {
        files.iter().fold(Place::new(), |place, (name, text)| place.with(name, text))
    }

    /// One more file.
    pub fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The frames of a file.
    pub fn read(&self, name: &str) -> Vec<Structure> {
        read(self.path(name), &Options::default()).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rhobasis"));
        command.args(args).current_dir(self.folder());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        said(self.succeeds(&mut self.command(args)).stdout)
    }

    pub fn succeeds(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs a command that must end with this code, soon, say all of `parts`, and change nothing; returns its message.
    pub fn refused(&self, code: i32, args: &[&str], parts: &[&str]) -> String {
        self.fails(code, &mut self.command(args), parts)
    }

    pub fn fails(&self, code: i32, command: &mut Command, parts: &[&str]) -> String {
        let (before, start) = (self.contents(), Instant::now());
        let output = command.output().unwrap();
        let message = said(output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {message}");
        assert!(start.elapsed() < SOON && !message.contains("panicked"), "{command:?}: {message}");
        assert!(self.contents() == before, "{command:?}: something has changed: {:?}", self.names());
        says(&message, parts);
        message
    }

    /// Names and bytes of all files.
    pub fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let files = fs::read_dir(self.folder()).unwrap().map(|e| e.unwrap());
        let files = files.filter(|e| e.metadata().unwrap().is_file());
        let mut all: Vec<_> =
            files.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect();
        all.sort();
        all
    }

    pub fn names(&self) -> Vec<String> {
        self.contents().into_iter().map(|(name, _)| name).collect()
    }
}

pub fn said(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

pub fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{part}' is missing in: {message}");
    }
}

/// A file in examples/data.
pub fn bundled(name: &str) -> String {
    format!("{}/../examples/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Molecules C-H-O bent a little differently each.
pub fn molecules(n: usize) -> String {
    let mut text = String::new();
    for k in 0..n {
        let d = 0.01 * ((k * 7) % 13) as f64;
        writeln!(text, "3\nProperties=species:S:1:pos:R:3 energy={} pbc=\"F F F\"", -10.0 - d).unwrap();
        writeln!(text, "C 0 0 0\nO {} 0.2 0\nH -0.5 {} 0.3", 1.2 + d, 0.95 - d).unwrap();
    }
    text
}

/// Header and arrays of a file of ours without the command that made it, and without the digest, which covers that.
pub fn without_command(file: &[u8]) -> (serde_json::Value, Vec<u8>) {
    let end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&file[8..end]).unwrap();
    let metadata = header["__metadata__"].as_object_mut().unwrap();
    for key in ["command", "digest"] {
        assert!(metadata.remove(key).is_some(), "{key}");
    }
    (header, file[end..].to_vec())
}
