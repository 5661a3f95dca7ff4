//! Which of the two sides an operation is of. Everything but closing is the same for both.

use super::layout::Header;
use super::side::Side;

/// Which side an operation is of.
pub(super) trait Role {
    /// A slot is for it when its sequence is `2 * lap + READY`.
    const READY: u32;
    const PRODUCES: bool = Self::READY == 0;

    /// Its own side.
    fn own(header: &Header) -> &Side;
    /// The one that it waits for.
    fn other(header: &Header) -> &Side;
}

pub(super) struct Producer;
pub(super) struct Consumer;

impl Role for Producer {
    const READY: u32 = 0;

    #[inline(always)]
    fn own(header: &Header) -> &Side {
        &header.producers
    }

    fn other(header: &Header) -> &Side {
        &header.consumers
    }
}

impl Role for Consumer {
    const READY: u32 = 1;

    #[inline(always)]
    fn own(header: &Header) -> &Side {
        &header.consumers
    }

    fn other(header: &Header) -> &Side {
        &header.producers
    }
}
