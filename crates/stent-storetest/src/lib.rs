//! What every store of Stent is held against: the in-memory [`model`], the suite, and random command sequences.
//!
//! The model is the specification in `stent_core::command`, carried out one command at a time on plain maps. A store
//! of your own turns the feature `suite` on in its tests, gives the suite a way to make a fresh store, and passes.
//! This crate knows no SQL and no async runtime.

pub mod model;

#[cfg(feature = "suite")]
mod drive;
#[cfg(feature = "suite")]
pub mod figures;
#[cfg(feature = "suite")]
pub mod sequences;
#[cfg(feature = "suite")]
pub mod suite;

#[cfg(feature = "suite")]
pub use drive::block_on;
