//! Pure text handling between tokens and the wire: whole characters, stop strings, the end of the first clause.

pub mod assemble;
pub mod clause;

pub use assemble::{Assembler, Delta};
pub use clause::ClauseDetector;
