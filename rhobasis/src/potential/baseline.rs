//! Energies of free atoms.
