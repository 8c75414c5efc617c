//! Flags that are made from the settings of the library: names, units, defaults, sentences and what is refused are theirs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::Path;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use rhobasis::Result;
use rhobasis::extxyz::{Dataset, Options, SourceFile};
use rhobasis::optimal::{CovarianceSettings, Truncation};
use rhobasis::settings::{Given, Range, Setting, Source, Takes};
use rhobasis::structure::{atomic_number, isotope_remedy};

use crate::failure::{Failure, Outcome};
use crate::input::for_each_chunk;
use crate::output;
use crate::text::tell;

/// Settings that go together.
pub trait Group {
    /// The settings, in the order of the help.
    fn settings() -> Vec<&'static Setting>;

    /// What else is to be said of their flags.
    fn complete(command: Command) -> Command {
        command
    }
}

/// Flags of a group of settings.
#[derive(Debug, Clone)]
pub struct Flags<G> {
    given: BTreeMap<&'static str, Given>,
    group: PhantomData<G>,
}

impl<G> Flags<G> {
    /// What `read` makes of the values that were given.
    pub fn read<T>(&self, read: impl FnOnce(Source) -> Result<T>) -> Result<T> {
        read(&|name| self.given.get(name).cloned())
    }

    /// Whether a value was given for this setting.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }
}

impl<G: Group> Flags<G> {
    /// The flags that were given.
    pub fn given(&self) -> impl Iterator<Item = String> {
        G::settings().into_iter().filter(|s| self.is_given(s.name)).map(|s| format!("--{}", long(s)))
    }
}

impl<G: Group> Args for Flags<G> {
    fn augment_args(command: Command) -> Command {
        G::complete(command.args(G::settings().into_iter().map(flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: Group> FromArgMatches for Flags<G> {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = |setting: &Setting| match setting.takes {
            Takes::Flag => Given::Flag(matches.get_flag(setting.name)),
            _ => matches.get_one::<Given>(setting.name).cloned().unwrap_or(Given::Nothing),
        };
        let settings = G::settings().into_iter();
        let settings = settings.filter(|s| matches.value_source(s.name) == Some(ValueSource::CommandLine));
        Ok(Flags { given: settings.map(|setting| (setting.name, given(setting))).collect(), group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The name of a flag: what is on without it is turned off by `--no-…`.
fn long(setting: &Setting) -> String {
    format!("{}{}", if is_on(setting) { "no-" } else { "" }, setting.name.replace('_', "-"))
}

fn is_on(setting: &Setting) -> bool {
    setting.default == Given::Flag(true)
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name).long(long(setting)).help(setting.sentence);
    let value_name = match setting.takes {
        Takes::Flag if is_on(setting) => {
            return arg
                .long(long(setting))
                .help(format!("Sets {} = false: {}", setting.name, setting.sentence))
                .action(ArgAction::SetFalse);
        }
        Takes::Flag => return arg.action(ArgAction::SetTrue),
        _ if !setting.unit.is_empty() => setting.unit.into(),
        Takes::NumberOr(none) => format!("NUMBER|{none}"),
        Takes::Count => "N".into(),
        Takes::CountOr(none) => format!("N|{none}"),
        Takes::Word(_) => setting.name.to_uppercase(),
        _ if setting.range == Range::Fraction => "FRACTION".into(),
        _ => "NUMBER".into(),
    };
    let arg = arg.value_name(value_name).value_parser(Reader(setting)).allow_negative_numbers(true);
    match &setting.default {
        Given::Nothing => arg,
        default => arg.default_value(default.to_text()),
    }
}

/// From the text of a flag to a value of the type that its setting takes.
#[derive(Clone, Copy)]
struct Reader(&'static Setting);

impl TypedValueParser for Reader {
    type Value = Given;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> std::result::Result<Given, clap::Error> {
        let setting = self.0;
        (move |text: &str| setting.accept(Given::from_text(text))).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let Takes::Word(words) = self.0.takes else { return None };
        Some(Box::new(words.iter().map(|word| PossibleValue::new(word.name).help(word.sentence))))
    }
}

/// What is expanded, in what, and what is contracted with what.
pub type ContractionFlags = Flags<CovarianceSettings>;

impl Group for CovarianceSettings {
    fn settings() -> Vec<&'static Setting> {
        let defaults = CovarianceSettings::default();
        defaults.values().into_iter().map(|(setting, _)| setting).collect()
    }
}

impl ContractionFlags {
    /// The settings for all the frames of some files: numbers for `--weighting nearest` too, for which these are read once
    /// more.
    pub fn settings(&self, data: &[String]) -> Result<(CovarianceSettings, Nearest)> {
        let mut files = Nearest::default();
        let settings = self.read(CovarianceSettings::read)?.resolved(|nearest| {
            let input = Dataset::open(data, &Options::default())?.without_labels();
            files.0 = for_each_chunk(input, "distances", |chunk| {
                let before = nearest.n_structures();
                nearest.add(&chunk.structures).map_err(|e| chunk.locate(e, |frame| frame - before))
            })?;
            Ok(())
        })?;
        if !files.0.is_empty() {
            output::return_memory();
            let numbers = Given::from(settings.weighting.as_ref());
            tell(format!("note: --weighting nearest is {} for these data", numbers.to_text()));
        }
        Ok((settings, files))
    }
}

/// The files that were read for `--weighting nearest`.
#[derive(Default)]
pub struct Nearest(Vec<SourceFile>);

impl Nearest {
    /// Refuses files that have changed since.
    pub fn unchanged(&self, files: &[SourceFile]) -> Result<()> {
        SourceFile::unchanged(&self.0, files)
    }
}

/// The element that a flag names.
pub fn element(flag: &str, name: &str) -> std::result::Result<u8, Failure> {
    atomic_number(name).ok_or_else(|| {
        let remedy = isotope_remedy(name).unwrap_or("use symbols from H to Og");
        Failure::usage(format!("{flag} {name}: '{name}' is no element; {remedy}"))
    })
}

/// How many channels are kept.
pub type TruncationFlags = Flags<Truncation>;

impl Group for Truncation {
    fn settings() -> Vec<&'static Setting> {
        Truncation::SETTINGS.to_vec()
    }

    fn complete(command: Command) -> Command {
        command.mut_arg("q_max", |q_max| q_max.conflicts_with("retain"))
    }
}

impl TruncationFlags {
    /// Refuses a truncation of what is not truncated.
    pub fn check(&self, output: &Path) -> Outcome {
        if is_covariance(output) && !self.given.is_empty() {
            return Err(Failure::usage("--q-max and --retain do not change a covariance file (.cov): leave them out"));
        }
        Ok(())
    }

    pub fn truncation(&self) -> Result<Truncation> {
        self.read(Truncation::read)
    }
}

/// Whether the output is an accumulator rather than a basis.
pub fn is_covariance(output: &Path) -> bool {
    output.extension().is_some_and(|e| e == "cov")
}
