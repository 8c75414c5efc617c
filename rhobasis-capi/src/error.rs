//! What went wrong in the last call on a thread.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rhobasis::Error;

/// A message, and the atom that it is about.
#[derive(Default)]
struct Last {
    message: CString,
    atom: Option<usize>,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// What the job gives; `None` if it fails, panics included, with the reason kept for the caller to ask for.
pub fn guarded<T>(job: impl FnOnce() -> Result<T, Error>) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(job)) {
        Ok(Ok(done)) => Some(done),
        Ok(Err(e)) => {
            keep(e);
            None
        }
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            keep(Error::structure(None, format!("a fault of rhobasis: {said}"), "please report it"));
            None
        }
    }
}

/// There is one structure only, of which engines would not know the number.
fn keep(mut error: Error) {
    let mut atom = None;
    if let Error::Structure { place, .. } = &mut error {
        place.frame = None;
        atom = place.atom;
    }
    let text = error.to_string().replace('\0', " ");
    LAST.set(Last { message: CString::new(text).unwrap_or_default(), atom });
}

/// Why the last call of this thread that failed did so; valid until the next one fails. Empty if none has.
#[unsafe(no_mangle)]
pub extern "C" fn rhobasis_error() -> *const c_char {
    LAST.with_borrow(|last| last.message.as_ptr())
}

/// Index of the atom that the message is about, in the order of the call; -1 if it is about none.
#[unsafe(no_mangle)]
pub extern "C" fn rhobasis_error_atom() -> i64 {
    LAST.with_borrow(|last| last.atom.and_then(|atom| i64::try_from(atom).ok()).unwrap_or(-1))
}
