//! How a command ends when it does not succeed.

use std::io;

use crate::interrupt;
use crate::text::insist;

/// Result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed, hence its exit code.
#[derive(Debug)]
pub enum Failure {
    /// The arguments do not fit together: exit code 2.
    Usage(String),
    /// The library refused the input: exit code 1.
    Input(rhobasis::Error),
    /// Standard output is gone: nothing to say to nobody, if it was a closed pipe.
    Output(io::Error),
    /// The user wanted no more; this is what was kept.
    Interrupted(String),
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// The same, with the place of an input that was refused.
    pub fn located(self, place: impl FnOnce(rhobasis::Error) -> rhobasis::Error) -> Self {
        match self {
            Failure::Input(e) => Failure::Input(place(e)),
            other => other,
        }
    }

    /// Prints the message and returns the exit code.
    pub fn report(&self) -> i32 {
        match self {
            Failure::Usage(message) => {
                insist(format!("error: {message}\n\nFor more information, try '--help'."));
                2
            }
            Failure::Input(e) => {
                insist(format!("error: {e}"));
                1
            }
            Failure::Interrupted(kept) => interrupt::report(kept),
            Failure::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Output(e) => {
                insist(format!("error: standard output: {e}"));
                1
            }
        }
    }
}

impl From<rhobasis::Error> for Failure {
    fn from(e: rhobasis::Error) -> Self {
        Failure::Input(e)
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Failure::Output(e)
    }
}
