//! The `rhobasis` command line.
