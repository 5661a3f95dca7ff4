//! What can go wrong in a case.

use super::stage::{Outcome, Slot, Word};

/// Why a case did not pass.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Somebody slept on although the lock was to be had.
    LostWakeUp(&'static str, Word),
    /// The same, of an object without an owner.
    SleptOn(String),
    /// A death was not told.
    UntoldDeath(Slot, Outcome),
    /// A death was told that did not happen, or had been repaired.
    InventedDeath(Slot, Outcome),
    /// Told too often or not at all, of any.
    Told(String),
    /// An account does not close.
    Account(String),
    /// The word at rest is not what it must be.
    Word(Word, u32),
    /// A participant ended in another way than it should.
    Participant(Slot, String),
    /// The victim did not go the way that was recorded. Tried again a few times.
    OtherPath(String),
    /// The harness could not do its part.
    Harness(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LostWakeUp(who, word) => write!(f, "lost wake-up: {who}; the state is {word}"),
            Self::SleptOn(text) => write!(f, "lost wake-up: {text}"),
            Self::UntoldDeath(slot, how) => write!(f, "untold death: {slot:?} got {how:?}"),
            Self::InventedDeath(slot, how) => write!(f, "invented death: {slot:?} got {how:?}"),
            Self::Told(text) => write!(f, "untold death, or invented: {text}"),
            Self::Account(text) => write!(f, "account: {text}"),
            Self::Word(word, announced) => write!(f, "state at rest: {word}, {announced} dead announced"),
            Self::Participant(slot, text) => write!(f, "participant: {slot:?} {text}"),
            Self::OtherPath(text) => write!(f, "other path: {text}"),
            Self::Harness(text) => write!(f, "harness: {text}"),
        }
    }
}

/// What a step of a case gives.
pub(super) type Checked<T = ()> = Result<T, Failure>;
