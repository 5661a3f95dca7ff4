//! Counting words with a pool whose workers may be killed at any instruction: nothing is lost, nothing doubled.
//!
//! Each worker adds to a table of its own in shared memory, as fast as a program without a pool; the host adds
//! up a few tables. Each table has a *state* and a *log*. State 0: it is empty. Odd: it is being changed, or was
//! never cleared. 2n: it is the sum of exactly the n blocks that the log lists. A task makes the state odd, adds a
//! block's words, logs the block, and makes it 2n + 2 ([`tables::Owned::add`]). A worker takes a table by a
//! counter at its first block of a map, so no two have the same one, and clears it. If there is none left, it
//! does nothing.
//!
//! The pool tries a block again when its worker dies: also when the task had ended, and the pool did not know yet.
//! So it is the logs alone that say what was done. When the map has returned, nobody runs a task, and the host owns
//! all tables ([`crew::Crew::settle`]). It throws away those whose state is odd, and those that list a block which
//! an accepted table lists; adds the others to the total; marks all as odd; and maps again the blocks that no
//! accepted table lists, until there are none. So every block is listed by exactly one accepted table, and an
//! accepted table holds exactly what it lists.

pub(crate) mod block;
pub(crate) mod crew;
pub(crate) mod files;
pub(crate) mod rounds;
pub(crate) mod table;
pub(crate) mod tables;
pub(crate) mod text;
pub(crate) mod tops;
pub(crate) mod word;
pub(crate) mod worker;
