//! Whether what happened at a queue could have happened one after the other at a queue that never loses its order.
//!
//! A history is a set of operations with the times when they began and ended; all values are different. It is that of a bounded first-in
//! first-out queue if every operation can be given one moment between its two times at which it takes place. With different values, that
//! holds unless one of a few patterns is found, each by sorting: T. A. Henzinger, A. Sezgin and V. Vafeiadis, "Aspect-oriented linearizability
//! proofs" (2013). Beside theirs: what those that were killed may have done, and the capacity.

use std::collections::HashMap;

/// What an operation did, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A value was put.
    Put(u64),
    /// Whoever put it was killed: it may have been put or not.
    MayHavePut(u64),
    /// A value was taken.
    Got(u64),
    /// Whoever took was killed: it may have taken one or nothing.
    MayHaveGot,
    /// There was nothing, or another one was just taking something.
    Empty,
    /// There was nothing, whatever others did.
    Over,
    /// There was no room, or another one was just putting something.
    Full,
    /// Nothing happened.
    Refused,
}

/// One operation. Of a killed one, the end is when it was certainly dead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) act: Act,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Operation {
    fn takes(&self) -> bool {
        matches!(self.act, Act::Got(_) | Act::MayHaveGot | Act::Empty | Act::Over)
    }

    fn puts(&self) -> bool {
        matches!(self.act, Act::Put(_) | Act::MayHavePut(_) | Act::Full)
    }
}

/// Times between which something takes place.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: u64,
    end: u64,
}

/// When a value came and went.
#[derive(Clone, Copy, Debug)]
struct Stay {
    value: u64,
    put: Span,
    got: Span,
    /// Who got it was killed: which one did is a guess.
    is_lost: bool,
}

/// Checks a history that ends with a queue from which all was taken. Why it cannot be, if it cannot; else how many values were lost.
pub(crate) fn check(operations: &[Operation], capacity: usize) -> Result<usize, String> {
    let stays = stays(operations)?;
    check_order(&stays)?;
    check_empty(operations, &stays)?;
    check_capacity(operations, &stays, capacity)?;
    Ok(stays.iter().filter(|stay| stay.is_lost).count())
}

fn span(operation: &Operation) -> Span {
    Span { begin: operation.begin, end: operation.end }
}

/// Every value that was in the queue: put once, got once at most, and not before it was put.
fn stays(operations: &[Operation]) -> Result<Vec<Stay>, String> {
    let mut puts = HashMap::new();
    for operation in operations {
        if let Act::Put(value) | Act::MayHavePut(value) = operation.act {
            if puts.insert(value, (*operation, false)).is_some() {
                return Err(format!("{value:#x} was put twice: not a history that can be checked"));
            }
        }
    }
    let mut stays = Vec::new();
    for operation in operations {
        let Act::Got(value) = operation.act else { continue };
        let Some((put, is_got)) = puts.get_mut(&value) else {
            return Err(format!("{value:#x} was got and never put"));
        };
        if std::mem::replace(is_got, true) {
            return Err(format!("{value:#x} was got twice"));
        }
        if operation.end < put.begin {
            return Err(format!("{value:#x} was got before it was put"));
        }
        stays.push(Stay { value, put: span(put), got: span(operation), is_lost: false });
    }
    // What came in and never out was taken by who died.
    let lost = puts.values().filter(|(put, is_got)| !is_got && matches!(put.act, Act::Put(_)));
    let lost = lost.map(|(put, _)| *put).collect();
    let takers = operations.iter().filter(|operation| operation.act == Act::MayHaveGot).map(span).collect();
    let found = attribute(&stays, lost, takers)?;
    stays.extend(found);
    Ok(stays)
}

/// Finds for each lost value a killed taker that may have taken it in the queue's order, each another one.
///
/// Any such choice will do: if two of them contradict the order of their values, exchanging their takers does not.
fn attribute(stays: &[Stay], lost: Vec<Operation>, takers: Vec<Span>) -> Result<Vec<Stay>, String> {
    // Between which times each must have been taken: behind all that were put before it, before any that was put behind it.
    let windows: Vec<_> = lost
        .iter()
        .map(|put| {
            let before = stays.iter().filter(|stay| stay.put.end < put.begin).map(|stay| stay.got.begin);
            let after = stays.iter().filter(|stay| stay.put.begin > put.end).map(|stay| stay.got.end);
            Span { begin: before.max().unwrap_or(0).max(put.begin), end: after.min().unwrap_or(u64::MAX) }
        })
        .collect();
    let fits = |value: usize, taker: usize| {
        takers[taker].begin <= windows[value].end && takers[taker].end >= windows[value].begin
    };
    // H. W. Kuhn's augmenting paths: there are few.
    let mut value_of: Vec<Option<usize>> = vec![None; takers.len()];
    for value in 0..lost.len() {
        if !augment(value, &fits, &mut value_of, &mut vec![false; takers.len()]) {
            return Err(format!(
                "{:?} was put and never got: {} are lost, {} takers died",
                lost[value].act,
                lost.len(),
                takers.len()
            ));
        }
    }
    let mut stays: Vec<_> = value_of
        .iter()
        .enumerate()
        .filter_map(|(taker, value)| value.map(|value| (lost[value], takers[taker])))
        .map(|(put, got)| {
            let Act::Put(value) = put.act else { unreachable!("only values that were put are lost") };
            Stay { value, put: span(&put), got, is_lost: true }
        })
        .collect();
    // Where two takers follow each other, the value that was put first goes to the first one.
    let crossed = |stays: &[Stay], one: usize, other: usize| {
        stays[one].put.end < stays[other].put.begin && stays[other].got.end < stays[one].got.begin
    };
    let count = stays.len();
    while let Some((one, other)) = (0..count)
        .flat_map(|one| (0..count).map(move |other| (one, other)))
        .find(|&(one, other)| crossed(&stays, one, other))
    {
        let got = stays[one].got;
        stays[one].got = std::mem::replace(&mut stays[other].got, got);
    }
    Ok(stays)
}

fn augment(
    value: usize,
    fits: &dyn Fn(usize, usize) -> bool,
    value_of: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for taker in 0..value_of.len() {
        if !tried[taker] && fits(value, taker) {
            tried[taker] = true;
            if value_of[taker].is_none_or(|other| augment(other, fits, value_of, tried)) {
                value_of[taker] = Some(value);
                return true;
            }
        }
    }
    false
}

/// No value that was put before another was got after it.
fn check_order(stays: &[Stay]) -> Result<(), String> {
    let mut by_end: Vec<_> = stays.iter().collect();
    by_end.sort_by_key(|stay| stay.put.end);
    let mut by_begin = by_end.clone();
    by_begin.sort_by_key(|stay| stay.put.begin);
    let mut earlier = by_end.into_iter().peekable();
    // Of those that were certainly put before, the one that was got last.
    let mut latest: Option<&Stay> = None;
    for stay in by_begin {
        while let Some(one) = earlier.next_if(|one| one.put.end < stay.put.begin) {
            if latest.is_none_or(|latest| one.got.begin > latest.got.begin) {
                latest = Some(one);
            }
        }
        if let Some(first) = latest.filter(|first| first.got.begin > stay.got.end) {
            return Err(format!("{:#x} was put before {:#x} and got after it", first.value, stay.value));
        }
    }
    Ok(())
}

/// Nobody found the queue empty while there was always something in it.
fn check_empty(operations: &[Operation], stays: &[Stay]) -> Result<(), String> {
    // When there certainly was something, joined where they overlap.
    let mut filled: Vec<_> = stays
        .iter()
        .filter(|stay| !stay.is_lost && stay.put.end < stay.got.begin)
        .map(|stay| Span { begin: stay.put.end, end: stay.got.begin })
        .collect();
    filled.sort_by_key(|span| span.begin);
    let mut joined: Vec<Span> = Vec::new();
    for span in filled {
        match joined.last_mut() {
            Some(last) if span.begin < last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    let takers = Crowd::of(operations, Operation::takes);
    for (index, operation) in operations.iter().enumerate() {
        let is_told = match operation.act {
            Act::Over => true,
            Act::Empty => !takers.disturb(operations, index),
            _ => false,
        };
        let after = joined.partition_point(|span| span.begin < operation.begin);
        let around = after.checked_sub(1).map(|last| joined[last]);
        if let Some(span) = around.filter(|span| is_told && span.end > operation.end) {
            return Err(format!(
                "{operation:?}, but there was always something from {} to {}",
                span.begin, span.end
            ));
        }
    }
    Ok(())
}

/// Operations of one side, of which some may hold up others.
struct Crowd {
    /// In the order of their beginnings; for each, those two that end last of it and the ones before it.
    order: Vec<usize>,
    last: Vec<[usize; 2]>,
}

impl Crowd {
    fn of(operations: &[Operation], is_of: impl Fn(&Operation) -> bool) -> Self {
        let mut order: Vec<_> = (0..operations.len()).filter(|&index| is_of(&operations[index])).collect();
        order.sort_by_key(|&index| operations[index].begin);
        let mut last: Vec<[usize; 2]> = Vec::with_capacity(order.len());
        for &index in &order {
            let [first, second] = last.last().copied().unwrap_or([index, index]);
            let end = |index: usize| operations[index].end;
            last.push(match () {
                () if end(index) >= end(first) => [index, first],
                () if end(index) >= end(second) || second == first => [first, index],
                () => [first, second],
            });
        }
        Self { order, last }
    }

    /// Whether another one of them was under way during this one.
    fn disturb(&self, operations: &[Operation], index: usize) -> bool {
        let this = operations[index];
        let began = self.order.partition_point(|&other| operations[other].begin <= this.end);
        let last = began.checked_sub(1).map_or([index; 2], |last| self.last[last]);
        last.into_iter().any(|other| other != index && operations[other].end >= this.begin)
    }
}

/// Never more values than there is room for, and no room refused while there certainly was some.
fn check_capacity(operations: &[Operation], stays: &[Stay], capacity: usize) -> Result<(), String> {
    let capacity = capacity as i64;
    // The least that there can have been: what has certainly been put, less all that may have been taken.
    let mut least: Vec<(u64, i64)> = stays.iter().map(|stay| (stay.put.end, 1)).collect();
    least.extend(
        operations
            .iter()
            .filter(|one| matches!(one.act, Act::Got(_) | Act::MayHaveGot))
            .map(|one| (one.begin, -1)),
    );
    // At the same time, what is taken goes first.
    least.sort_unstable();
    let mut count = 0;
    for (time, change) in least {
        count += change;
        if count > capacity {
            return Err(format!("{count} values at {time} in room for {capacity}"));
        }
    }
    // And the most.
    let mut most: Vec<(u64, i64)> = operations
        .iter()
        .filter_map(|one| match one.act {
            Act::Put(_) | Act::MayHavePut(_) => Some((one.begin, 1)),
            Act::Got(_) => Some((one.end, -1)),
            _ => None,
        })
        .collect();
    most.sort_unstable_by_key(|&(time, change)| (time, -change));
    let mut counts = Vec::with_capacity(most.len());
    let mut count = 0;
    for &(_, change) in &most {
        count += change;
        counts.push(count);
    }
    let putters = Crowd::of(operations, Operation::puts);
    for (index, operation) in operations.iter().enumerate().filter(|(_, one)| one.act == Act::Full) {
        let from = most.partition_point(|&(time, _)| time < operation.begin);
        let to = most.partition_point(|&(time, _)| time <= operation.end);
        let before = from.checked_sub(1).map_or(0, |last| counts[last]);
        let most = counts[from..to].iter().copied().max().unwrap_or(0).max(before);
        if most < capacity && !putters.disturb(operations, index) {
            return Err(format!("{operation:?}, but there were at most {most} of {capacity}"));
        }
    }
    Ok(())
}
