//! Floor 2: memory that processes share, and what may be put there.

mod macros;
pub(crate) mod shareable;
#[expect(clippy::module_inception, reason = "the file's name is its noun")]
pub(crate) mod shared;

pub use shareable::Shareable;
