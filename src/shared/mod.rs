//! Floor 2: memory that processes share, and what may be put there.

pub(crate) mod array;
pub(crate) mod cells;
pub(crate) mod header;
pub(crate) mod held;
mod macros;
pub(crate) mod name;
mod objects;
pub(crate) mod segment;
#[cfg(feature = "std")]
pub(crate) mod segment_view;
pub(crate) mod shareable;
#[expect(clippy::module_inception, reason = "the file's name is its noun")]
pub(crate) mod shared;
pub(crate) mod value;

pub use shareable::Shareable;
