//! The command that makes a file, which the file tells.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use rhobasis::Result;
use rhobasis::files::{Stored, command_of};

use crate::text::field;

/// What changes no number: where results go, and how the work is done. Without it a run in one piece and one that was interrupted, on
/// one thread and on many, make the same bytes, under whatever name.
const LEFT_OUT: [&str; 9] =
    ["output", "save_nice", "save_sample", "no_plot", "checkpoint", "checkpoint_every", "threads", "quiet", "force"];

static COMMAND: Mutex<String> = Mutex::new(String::new());

/// Notes the command that runs from now on.
pub fn note(command: &Command, matches: &ArgMatches) {
    *COMMAND.lock().unwrap_or_else(PoisonError::into_inner) = words(command, matches).unwrap_or_default();
}

/// The command that runs, as files tell it.
pub fn this_command() -> String {
    COMMAND.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Writes a file that tells the command.
pub fn save(made: &impl Stored, path: &Path) -> Result<()> {
    made.save_made_by(path, &this_command())
}

/// What a file tells: the command and the version; nothing, if it was not made by a command, or by an older one.
pub fn told(path: &Path) -> Option<String> {
    command_of(path).map(|(command, version)| in_words(&command, &version))
}

/// The same as a line, if it tells anything.
pub fn say(path: &Path, out: &mut dyn Write) -> io::Result<()> {
    told(path).map_or(Ok(()), |told| field(out, "made by", told))
}

/// A command and the version, for people.
pub fn in_words(command: &str, version: &str) -> String {
    format!("{command} (rhobasis {version})")
}

/// Verb and arguments in the order in which they were typed, as a shell takes them.
fn words(command: &Command, matches: &ArgMatches) -> Option<String> {
    let (name, matches) = matches.subcommand()?;
    let mut words: Vec<(usize, String)> = Vec::new();
    for arg in command.find_subcommand(name)?.get_arguments() {
        let id = arg.get_id().as_str();
        let is_typed =
            matches.try_contains_id(id).unwrap_or(false) && matches.value_source(id) == Some(ValueSource::CommandLine);
        if is_typed && !LEFT_OUT.contains(&id) {
            words.extend(typed(arg, matches));
        }
    }
    words.sort_by_key(|(place, _)| *place);
    let words = words.into_iter().map(|(_, word)| word);
    Some([format!("rhobasis {name}")].into_iter().chain(words).collect::<Vec<_>>().join(" "))
}

/// A flag with its values each time it was given, or a value without one; each with its place.
fn typed(arg: &Arg, matches: &ArgMatches) -> Vec<(usize, String)> {
    let id = arg.get_id().as_str();
    let mut places = matches.indices_of(id).into_iter().flatten();
    if !arg.get_action().takes_values() {
        return places.map(|place| (place, flag(arg))).collect();
    }
    let mut words = Vec::new();
    for values in matches.get_raw_occurrences(id).into_iter().flatten() {
        let values: Vec<(usize, &OsStr)> = values.zip(places.by_ref()).map(|(value, place)| (place, value)).collect();
        let Some(&(place, _)) = values.first() else { continue };
        let texts = values.iter().map(|(_, value)| quoted(&value.to_string_lossy()));
        match arg.get_value_delimiter() {
            _ if arg.is_positional() => words.extend(values.iter().map(|(place, _)| *place).zip(texts)),
            Some(between) => {
                let all = values.iter().map(|(_, value)| value.to_string_lossy()).collect::<Vec<_>>();
                words.push((place, flag(arg) + " " + &quoted(&all.join(&between.to_string()))));
            }
            None => {
                let value = texts.collect::<Vec<_>>().join(" ");
                let between = if value.starts_with('-') { "=" } else { " " };
                words.push((place, flag(arg) + between + &value));
            }
        }
    }
    words
}

fn flag(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => String::new(),
    }
}

/// A word in quotes, if a shell would not take it as it is.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-+=.,:/@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Cli;

    fn words_of(line: &[&str]) -> String {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut([&["rhobasis"], line].concat()).unwrap();
        words(&command, &matches).unwrap()
    }

    #[test]
    fn a_command_is_told_as_it_was_typed() {
        let line = [
            "fit",
            "a.xyz",
            "--r-cut",
            "5",
            "--sigma=C=0.3,O=0.25",
            "my data.xyz",
            "--scaling",
            "1,2,7",
            "-o",
            "b.rho",
        ];
        assert_eq!(words_of(&line), "rhobasis fit a.xyz --r-cut 5 --sigma C=0.3,O=0.25 'my data.xyz' --scaling 1,2,7");
        let line =
            ["features", "/home/me/a.xyz@:9", "--basis", "b.rho", "--kind", "nice", "--normalize", "--use-q-max", "3"];
        assert_eq!(words_of(&[&line[..], &["-o", "X.npz"]].concat()), format!("rhobasis {}", line.join(" ")));
        let line = ["features", "a.xyz", "--basis", "b.rho", "--kind", "nice", "--no-rotate", "--save-nice", "n.nice"];
        assert_eq!(words_of(&line), format!("rhobasis {}", line[..7].join(" ")));
        assert_eq!(words_of(&["train", "it's.toml", "-o", "m.rho"]), "rhobasis train 'it'\\''s.toml'");
    }

    #[test]
    fn what_changes_no_number_is_left_out() {
        let line =
            ["--threads", "2", "train", "-q", "m.toml", "-o", "m.rho", "--checkpoint", "c", "--checkpoint-every=1"];
        let line = [&line[..], &["--no-plot", "--force"]].concat();
        assert_eq!(words_of(&line), "rhobasis train m.toml");
        // Each of these is an argument of some command: none is left out in vain.
        let mut command = Cli::command();
        command.build();
        let ids: Vec<&str> =
            command.get_subcommands().flat_map(Command::get_arguments).map(|arg| arg.get_id().as_str()).collect();
        for id in LEFT_OUT {
            assert!(ids.contains(&id), "{id}");
        }
    }
}
