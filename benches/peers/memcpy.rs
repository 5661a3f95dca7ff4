//! One copy of a block that the other core has just written: what no way of handing it over can beat.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Spin, await_one_thread, pin};

/// A block, and whose turn it is: even, the writer's; odd, the copier's.
#[repr(align(128))]
struct Block<const N: usize> {
    turn: AtomicU64,
    bytes: std::cell::UnsafeCell<[u8; N]>,
}

// SAFETY: the bytes are touched by whose turn it is.
unsafe impl<const N: usize> Sync for Block<N> {}

/// What `count` copies take, the writing left out; the blocks are used in turn, so many that they are as a ring's slots.
pub(crate) fn fresh_copies<const N: usize>(blocks: usize, count: u64) -> Duration {
    let ring: Vec<Block<N>> = (0..blocks)
        .map(|_| Block { turn: AtomicU64::new(0), bytes: std::cell::UnsafeCell::new([0; N]) })
        .collect();
    let block = |number: u64| &ring[number as usize % blocks];
    let await_turn = |block: &Block<N>, turn: u64| {
        let mut spin = Spin::new();
        // Acquire pairs with the Release of who ends the turn before.
        while block.turn.load(Ordering::Acquire) != turn {
            spin.wait();
        }
    };
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            let mut source = vec![1u8; N];
            for number in 0..count {
                let block = block(number);
                await_turn(block, 2 * (number / blocks as u64));
                source[..8].copy_from_slice(&number.to_le_bytes());
                // SAFETY: our turn.
                unsafe { block.bytes.get().cast::<u8>().copy_from_nonoverlapping(source.as_ptr(), N) };
                block.turn.fetch_add(1, Ordering::Release);
            }
        });
        pin(0);
        let (mut into, mut taken, mut sum) = (vec![0u8; N], Duration::ZERO, 0);
        for number in 0..count {
            let block = block(number);
            await_turn(block, 2 * (number / blocks as u64) + 1);
            let started = Instant::now();
            // SAFETY: our turn.
            unsafe { into.as_mut_ptr().copy_from_nonoverlapping(block.bytes.get().cast(), N) };
            std::hint::black_box(&mut into);
            taken += started.elapsed();
            sum += u64::from_le_bytes(into[..8].try_into().expect("eight bytes"));
            block.turn.fetch_add(1, Ordering::Release);
        }
        assert_eq!(sum, count * (count - 1) / 2, "a block was not copied whole");
        taken
    });
    await_one_thread();
    taken
}
