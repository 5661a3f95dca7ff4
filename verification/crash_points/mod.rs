//! The harness: rows of operations and contexts, each of which kills a victim at every instruction.

mod aftermath;
mod case;
mod channel;
mod failure;
mod fate;
mod journey;
mod ledger;
mod operation;
mod ownerless;
mod participant;
mod path;
mod pipe;
mod queue;
mod recording;
mod row;
mod run;
mod scenario;
mod setting;
mod sleepers;
mod stage;
mod symbol;
mod system;
mod tracee;
mod trap;
mod turn;
mod victim;

pub(crate) use run::run;
