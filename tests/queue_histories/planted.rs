//! Histories of a few operations, of which it is known whether they can be.

use crate::history::{Act, Operation, check};

fn of(acts: &[(Act, u64, u64)]) -> Vec<Operation> {
    acts.iter().map(|&(act, begin, end)| Operation { act, begin, end }).collect()
}

fn good(acts: &[(Act, u64, u64)], lost: usize) {
    assert_eq!(check(&of(acts), 2), Ok(lost), "{acts:?}");
}

fn bad(acts: &[(Act, u64, u64)], why: &str) {
    let found = check(&of(acts), 2).expect_err("it cannot be");
    assert!(found.contains(why), "{acts:?}: {found}");
}

use Act::{Empty, Full, Got, MayHaveGot, MayHavePut, Over, Put, Refused};

pub(crate) fn values() {
    good(&[], 0);
    good(&[(Put(1), 0, 1), (Got(1), 2, 3)], 0);
    good(&[(Put(1), 0, 5), (Got(1), 2, 3)], 0);
    bad(&[(Put(1), 4, 5), (Got(1), 2, 3)], "before it was put");
    bad(&[(Got(1), 2, 3)], "never put");
    bad(&[(Put(1), 0, 1), (Got(1), 2, 3), (Got(1), 2, 3)], "twice");
    bad(&[(Put(1), 0, 1)], "never got");
    good(&[(Put(1), 0, 1), (Got(1), 2, 3), (Refused, 0, 9)], 0);
}

pub(crate) fn order() {
    let puts = [(Put(1), 0, 1), (Put(2), 2, 3)];
    let with = |gets: &[(Act, u64, u64)]| [&puts[..], gets].concat();
    good(&with(&[(Got(1), 4, 5), (Got(2), 6, 7)]), 0);
    good(&with(&[(Got(2), 4, 6), (Got(1), 5, 7)]), 0);
    bad(&with(&[(Got(2), 4, 5), (Got(1), 6, 7)]), "got after it");
    // Puts at the same time have no order.
    good(&[(Put(1), 0, 3), (Put(2), 2, 3), (Got(2), 4, 5), (Got(1), 6, 7)], 0);
    // A fault among many, far from each other.
    let mut many: Vec<_> =
        (0..1000).flat_map(|n| [(Put(n), 10 * n, 10 * n + 1), (Got(n), 10 * n + 11, 10 * n + 12)]).collect();
    good(&many, 0);
    (many[1].0, many[1999].0) = (many[1999].0, many[1].0);
    assert!(check(&of(&many), 2).is_err());
}

pub(crate) fn deaths() {
    good(&[(MayHavePut(1), 0, 9)], 0);
    good(&[(MayHavePut(1), 0, 9), (Got(1), 2, 3)], 0);
    bad(&[(MayHavePut(1), 4, 9), (Got(1), 2, 3)], "before it was put");
    good(&[(MayHaveGot, 0, 9)], 0);
    good(&[(Put(1), 0, 1), (MayHaveGot, 2, 9)], 1);
    bad(&[(Put(1), 5, 6), (MayHaveGot, 2, 4)], "never got");
    bad(&[(Put(1), 0, 1), (Put(2), 2, 3), (MayHaveGot, 4, 9)], "never got");
    good(&[(Put(1), 0, 1), (Put(2), 2, 3), (MayHaveGot, 4, 9), (MayHaveGot, 5, 6)], 2);
    // It was dead before what was taken before, or began after what was taken behind.
    bad(&[(Put(1), 0, 1), (Put(2), 2, 3), (MayHaveGot, 4, 5), (Got(1), 6, 7)], "never got");
    good(&[(Put(1), 0, 1), (Put(2), 2, 3), (MayHaveGot, 4, 7), (Got(1), 6, 8)], 1);
    bad(&[(Put(1), 0, 1), (Put(2), 2, 3), (Got(2), 4, 5), (MayHaveGot, 6, 7)], "never got");
    // Whichever value each took first: only one way is in order.
    for takers in [[(MayHaveGot, 4, 5), (MayHaveGot, 6, 7)], [(MayHaveGot, 6, 7), (MayHaveGot, 4, 5)]] {
        good(&[(Put(1), 0, 1), (Put(2), 2, 3), takers[0], takers[1]], 2);
    }
    // Two for two, of which one fits one only.
    good(&[(Put(1), 0, 1), (MayHaveGot, 2, 9), (MayHaveGot, 3, 4), (Put(2), 5, 6)], 2);
}

pub(crate) fn empty() {
    good(&[(Over, 0, 1), (Put(1), 2, 3), (Got(1), 4, 5), (Over, 6, 7)], 0);
    bad(&[(Put(1), 0, 1), (Over, 2, 3), (Got(1), 4, 5)], "always something");
    good(&[(Put(1), 0, 2), (Over, 1, 3), (Got(1), 4, 5)], 0);
    good(&[(Put(1), 0, 1), (Over, 2, 4), (Got(1), 3, 5)], 0);
    // By one value after the other.
    bad(
        &[(Put(1), 0, 1), (Put(2), 2, 3), (Over, 2, 9), (Got(1), 5, 6), (Got(2), 10, 11)],
        "always something",
    );
    good(&[(Put(1), 0, 1), (Put(2), 6, 7), (Over, 2, 9), (Got(1), 4, 5), (Got(2), 10, 11)], 0);
    // Another one that is just taking is an excuse for who does not wait; nobody is none.
    bad(&[(Put(1), 0, 1), (Empty, 2, 3), (Got(1), 4, 5)], "always something");
    good(&[(Put(1), 0, 1), (Put(2), 0, 1), (Empty, 3, 4), (Got(1), 2, 5), (Got(2), 6, 7)], 0);
    bad(
        &[(Put(1), 0, 1), (Put(2), 0, 1), (Empty, 8, 9), (Got(1), 2, 5), (Got(2), 10, 11)],
        "always something",
    );
}

pub(crate) fn capacity() {
    let three = [(Put(1), 0, 1), (Put(2), 2, 3), (Put(3), 4, 5)];
    bad(&[&three[..], &[(Got(1), 6, 7), (Got(2), 8, 9), (Got(3), 8, 9)]].concat(), "in room for 2");
    good(&[&three[..], &[(Got(1), 3, 7), (Got(2), 8, 9), (Got(3), 8, 9)]].concat(), 0);
    good(&[(Put(1), 0, 1), (Put(2), 2, 3), (Full, 4, 5), (Got(1), 6, 7), (Got(2), 8, 9)], 0);
    bad(&[(Put(1), 0, 1), (Full, 2, 3), (Got(1), 6, 7)], "at most 1 of 2");
    good(&[(Put(1), 0, 1), (Put(2), 2, 9), (Full, 4, 5), (Got(1), 6, 7), (Got(2), 8, 9)], 0);
}
