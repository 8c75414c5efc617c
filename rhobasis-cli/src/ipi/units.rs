//! Atomic units, with the constants of i-PI (`ipi/utils/units.py`), so that its eV and Å are ours. Those of ASE and of CODATA
//! differ from them in the eighth digit.

/// An eV in hartree.
pub const ELECTRON_VOLT: f64 = 0.036749326;
/// An Å in bohr.
pub const ANGSTROM: f64 = 1.8897261;
/// An eV/Å in hartree/bohr: forces stay derivatives of energies (i-PI's own number for it is 1e-7 less).
pub const ELECTRON_VOLT_PER_ANGSTROM: f64 = ELECTRON_VOLT / ANGSTROM;
