//! Numbers that nobody can guess.

use super::{clock, errno, proc};

/// Two of them. From the clock if the kernel gives none, as early in a boot.
pub(crate) fn words() -> [u64; 2] {
    let mut words = [0u64; 2];
    let size = size_of_val(&words);
    // SAFETY: so much room.
    let got = errno::preserve(|| unsafe {
        libc::getrandom(words.as_mut_ptr().cast(), size, libc::GRND_NONBLOCK) as i64
    });
    if got == Ok(size as i64) {
        return words;
    }
    // Every bit of a seed counts, so what changes is spread over all (by the golden ratio).
    let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let now = clock::now();
    [spread(now), spread(now ^ u64::from(proc::pid()) << 40)]
}
