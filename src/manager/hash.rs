//! Hashes of keys: multiply and fold, sixteen bytes at a time, under a seed of the manager's, so that nobody can choose keys that fall
//! together. As wyhash does it (Wang Yi, "wyhash", 2019).

/// Numbers with as many ones as zeros, so that no factor is small, whatever seed and key are.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xa076_1d64_78bd_642f;
const LAST: u64 = 0xe703_7ed1_a0b4_28db;

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    let count = bytes.len().min(8);
    whole[..count].copy_from_slice(&bytes[..count]);
    u64::from_ne_bytes(whole)
}

/// 64 bits, each of which depends on every bit of the key.
#[inline(always)]
pub(super) fn hash(seed: [u64; 2], key: &[u8]) -> u64 {
    let mut state = seed[0] ^ (key.len() as u64).wrapping_mul(ODD);
    let mut pairs = key.chunks_exact(16);
    for pair in &mut pairs {
        let (first, second) = pair.split_at(8);
        state = fold(state ^ word(first) ^ ODD, seed[1] ^ word(second) ^ SECOND);
    }
    let rest = pairs.remainder();
    if !rest.is_empty() {
        let (first, second) = rest.split_at(rest.len().min(8));
        state = fold(state ^ word(first) ^ ODD, seed[1] ^ word(second) ^ SECOND);
    }
    fold(state ^ ODD, seed[1] ^ LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits of pi: as any that the kernel gives.
    const SEED: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

    #[test]
    fn each_byte_and_the_length_count() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..40 {
            assert!(seen.insert(hash(SEED, &vec![0; length])));
            for at in 0..length {
                for bit in 0..8 {
                    let mut key = vec![0; length];
                    key[at] = 1 << bit;
                    assert!(seen.insert(hash(SEED, &key)), "{length} {at} {bit}");
                }
            }
        }
    }

    #[test]
    fn the_high_bits_spread() {
        let mut counts = [0; 64];
        for number in 0..64_000u64 {
            counts[(hash(SEED, &number.to_ne_bytes()) >> 58) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }
}
