//! Which free blocks stand in one list: those of one size below 512 bytes, of an eighth of a power of two above. As in TLSF
//! (M. Masmano and others, "TLSF: a new dynamic memory allocator for real-time systems", 2004).

/// How many lists there are: sizes below 2^47.
pub(super) const BINS: usize = 32 + 38 * 8;
/// Words of a bit for each.
pub(super) const WORDS: usize = BINS.div_ceil(64);

/// The list of free blocks of this size, a multiple of 16.
pub(super) fn of(size: u64) -> usize {
    if size < 512 {
        return (size / 16) as usize;
    }
    let power = size.ilog2();
    let eighth = (size >> (power - 3)) & 7;
    (32 + (power as usize - 9) * 8 + eighth as usize).min(BINS - 1)
}

/// The first list of which every block is at least so large.
pub(super) fn fitting(size: u64) -> usize {
    let bin = of(size);
    let is_least = size < 512 || size & ((1 << (size.ilog2() - 3)) - 1) == 0;
    if is_least { bin } else { bin + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_follow_sizes() {
        let mut last = 0;
        for size in (32..100_000u64).step_by(16).chain((17..46).map(|power| 3 << power)) {
            let bin = of(size);
            assert!(bin >= last && bin < BINS, "{size}");
            last = bin;
        }
    }

    #[test]
    fn every_block_of_a_fitting_list_fits() {
        for want in (32..20_000u64).step_by(16) {
            let fitting = fitting(want);
            for size in (32..want).step_by(16) {
                assert!(of(size) < fitting, "{size} for {want}");
            }
            assert!(fitting <= of(want) + 1);
        }
    }
}
