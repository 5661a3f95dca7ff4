//! What the word count promises: right sums for any text, however it is divided, and the same ones
//! when its workers are killed.

#[path = "support/word_count_corpus.rs"]
mod corpus;
mod support;
#[allow(dead_code, reason = "a part is for the program")]
#[path = "../examples/word_count/mod.rs"]
mod word_count;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use corpus::Corpus;
use forq::Shared;
use support::{Random, send};
use word_count::block::{BLOCK_SIZE, Block, Tally};
use word_count::crew::{Alone, Crew, SPARE_TABLES};
use word_count::rounds::{Counted, Observer, Plan, Sums, count_all};
use word_count::table::{MOST_WORDS, OwnTable};
use word_count::tables::Tables;
use word_count::text::{PADDING, count_words};
use word_count::tops::{TOP, top_words, write_report};
use word_count::worker::{count_block, with_worker};

/// Small blocks, so that many tasks are to be done and many words go over a block's end.
const SMALL_BLOCK: u32 = 8 << 10;
/// Kills in each of the cases below.
const KILLS: u64 = 20;
/// Blocks that are done between two kills, at least.
const BETWEEN_KILLS: u64 = 20;

fn main() {
    support::run(&[
        ("a_word_is_counted_once_wherever_its_file_is_divided", divided_anywhere),
        ("a_pool_counts_what_one_process_counts", pool_and_alone),
        ("a_report_is_the_same_byte_for_byte", reported),
        ("what_cannot_be_counted_is_passed_over_and_told", passed_over),
        ("more_words_than_a_table_holds_are_told", too_many_words),
        ("a_table_of_an_earlier_map_that_was_taken_and_not_cleared_says_nothing", taken_and_not_cleared),
        ("a_block_is_in_the_sums_once_if_its_worker_dies_before_it", || die_at(Step::Before, SPARE_TABLES)),
        ("a_block_is_in_the_sums_once_if_its_worker_dies_in_it", || die_at(Step::Added, SPARE_TABLES)),
        ("a_block_is_in_the_sums_once_if_its_worker_dies_between_it_and_the_pool_s_note", || {
            die_at(Step::Done, SPARE_TABLES)
        }),
        ("workers_without_a_table_leave_their_blocks_to_the_next_map", || die_at(Step::Done, 0)),
        ("killed_workers_change_nothing_1", || kill_at_random(1)),
        ("killed_workers_change_nothing_2", || kill_at_random(2)),
        ("killed_workers_change_nothing_3", || kill_at_random(3)),
        ("killed_workers_change_nothing_4", || kill_at_random(4)),
        ("killed_workers_change_nothing_5", || kill_at_random(5)),
        ("killed_workers_change_nothing_6", || kill_at_random(6)),
        ("killed_workers_change_nothing_7", || kill_at_random(7)),
        ("killed_workers_change_nothing_8", || kill_at_random(8)),
        ("killed_workers_change_nothing_9", || kill_at_random(9)),
        ("killed_workers_change_nothing_10", || kill_at_random(10)),
    ]);
}

/// Remembers what it is told.
#[derive(Default)]
struct Told(Vec<(PathBuf, String)>);

impl Observer for Told {
    fn warn(&mut self, path: &Path, why: &dyn Display) {
        self.0.push((path.to_owned(), why.to_string()));
    }

    fn found(&mut self, _bytes: u64) {}
}

fn count_alone(paths: &[PathBuf], block_size: u32, told: &mut Told) -> Counted {
    let mut alone = Alone::new(Arc::new(Tables::new(0).unwrap()));
    count_all(Plan { paths, block_size }, &mut alone, told).unwrap()
}

fn check(corpus: &Corpus, counted: &mut Counted) {
    assert_eq!(counted.sums, corpus.expected.sums);
    assert_eq!(top_words(&counted.table.table()), corpus.expected.top(TOP));
}

fn divided_anywhere() {
    let mut random = Random(7);
    for block_size in [1, 2, 3, 7, 8, 9, 63, 64, 65, 66, 100, 1000] {
        let mut corpus = Corpus::new("divided");
        for index in 0..4 {
            let size = 500 + random.below(1000) as usize;
            let content = corpus::text(&mut random, size);
            corpus.add(&index.to_string(), &content);
        }
        corpus.add("one word", &[b'x'; 500]);
        corpus.add(
            "words of 63 to 66",
            &[63, 64, 65, 66].map(|length| [vec![b'y'; length], vec![b'\n']].concat()).concat(),
        );
        corpus.add("high bytes", &(128..=255).chain(1..128).collect::<Vec<u8>>());
        let mut counted = count_alone(slice::from_ref(&corpus.directory), block_size, &mut Told::default());
        check(&corpus, &mut counted);
    }
}

fn pool_and_alone() {
    let corpus = Corpus::random("pool", 11, 100);
    let paths = slice::from_ref(&corpus.directory);
    for block_size in [SMALL_BLOCK, BLOCK_SIZE] {
        check(&corpus, &mut count_alone(paths, block_size, &mut Told::default()));
        for workers in [1, 2, 5] {
            let crew = Crew::new(workers, SPARE_TABLES, count_block).unwrap();
            for _ in 0..2 {
                let plan = Plan { paths, block_size };
                check(&corpus, &mut count_all(plan, &mut &crew, &mut Told::default()).unwrap());
            }
        }
    }
}

fn reported() {
    let mut corpus = Corpus::new("reported");
    corpus.add("a", b"one two two\x0bthree three three\n");
    corpus.add("b", b"\xff\xfe one four\x0c\r\n");
    corpus.add("c", &[b'x'; 65]);
    corpus.add("d", b"bin\0ary");
    let mut counted = count_alone(slice::from_ref(&corpus.directory), BLOCK_SIZE, &mut Told::default());
    let mut report = Vec::new();
    write_report(&mut counted, &mut report).unwrap();
    let mut wanted = b"files: 3\nbytes: 109\nskipped: 1\nmost frequent words:\n".to_vec();
    wanted.extend_from_slice(b"           3 three\n           2 one\n           2 two\n");
    wanted.extend_from_slice(b"           1 four\n           1 \xff\xfe\ntotal words: 10\n");
    assert_eq!(String::from_utf8_lossy(&report), String::from_utf8_lossy(&wanted));
    assert_eq!(report, wanted);
}

fn passed_over() {
    use std::os::unix::fs::symlink;

    let mut corpus = Corpus::new("passed");
    let words = corpus.add("below/words", b"two words");
    corpus.add("large and binary", &[vec![b'w'; 2 * SMALL_BLOCK as usize], vec![0]].concat());
    corpus.add("empty", b"");
    let directory = corpus.directory.clone();
    symlink(&words, directory.join("link")).unwrap();
    symlink(&directory, directory.join("below/loop")).unwrap();
    symlink(directory.join("nothing"), directory.join("dangling")).unwrap();
    let mut told = Told::default();
    let counted = count_alone(slice::from_ref(&directory), SMALL_BLOCK, &mut told);
    assert_eq!(counted.sums, Sums { files: 2, bytes: 9, skipped: 1, words: 2, missing: 0 });
    assert_eq!(told.0.len(), 1);
    assert!(told.0[0].1.contains("NUL"), "{told:?}", told = told.0);

    // What is given is followed, also to the same file; what does not exist, and what is no file, is told.
    let given = ["link", "below/loop/below", "nothing", "dangling"].map(|name| directory.join(name));
    let given = [&given[..], &["/dev/null".into()]].concat();
    let mut told = Told::default();
    let counted = count_alone(&given, SMALL_BLOCK, &mut told);
    assert_eq!(counted.sums, Sums { files: 2, bytes: 18, skipped: 1, words: 4, missing: 2 });
    assert_eq!(told.0.len(), 3);
}

fn too_many_words() {
    let mut own = OwnTable::new();
    let mut count = |range: std::ops::Range<usize>| {
        let mut text: Vec<u8> =
            range.clone().flat_map(|number| format!("{number:x}\n").into_bytes()).collect();
        let end = text.len();
        text.extend_from_slice(&[b' '; PADDING]);
        assert_eq!(count_words(&text, 0, end, &mut own.table()), range.len() as u64);
        own.table().is_partial()
    };
    assert!(!count(0..MOST_WORDS));
    assert!(!count(0..1000), "words that are there have their place");
    assert!(count(MOST_WORDS - 1..MOST_WORDS + 1));
    let table = own.table();
    assert_eq!(table.records().count(), MOST_WORDS);
    assert_eq!(table.records().map(|record| record.count).sum::<u64>(), MOST_WORDS as u64 + 1001);
}

fn taken_and_not_cleared() {
    let tables = Tables::new(1).unwrap();
    let index = tables.take().unwrap();
    assert_eq!(tables.take(), None);
    // SAFETY: taken; the only use.
    let mut owned = unsafe { tables.own(index) };
    owned.add(|_| Tally { number: 5, ..Tally::default() });
    assert_eq!(owned.settled().map(|(log, _)| log[0].number), Some(5));
    // SAFETY: this process is host and worker; no map is running.
    unsafe { tables.recycle() };
    assert_eq!(tables.reserve(), Some(index));
    assert_eq!(tables.taken(), 0..1);
    // SAFETY: as above.
    let mut owned = unsafe { tables.own(index) };
    assert!(owned.settled().is_none(), "its log is of an earlier map");
    owned.clear();
    assert!(owned.settled().is_some_and(|(log, _)| log.is_empty()));
}

/// Where in a task its worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Before,
    Added,
    Done,
}

/// Of each step, for each block, how often its worker is still to die there.
static DEATHS: OnceLock<Shared<[AtomicU32]>> = OnceLock::new();
const DEADLY_BLOCKS: usize = 1 << 12;

fn die_if_due(step: Step, block: &Block) {
    let place = step as usize * DEADLY_BLOCKS + block.number as usize;
    let due = DEATHS.get().and_then(|deaths| deaths.get(place));
    if due.is_some_and(|due| due.swap(0, Ordering::Relaxed) > 0) {
        send(std::process::id(), libc::SIGKILL);
        thread::sleep(Duration::MAX);
    }
}

fn deadly_count(paths: &[u8], block: &Block) {
    die_if_due(Step::Before, block);
    with_worker(|worker| worker.count(paths, block, || die_if_due(Step::Added, block)));
    die_if_due(Step::Done, block);
}

fn die_at(step: Step, spare_tables: usize) {
    const EVERY: usize = 41;
    let corpus = Corpus::random("deadly", 13, 200);
    let is_due = |place: usize| place / DEADLY_BLOCKS == step as usize && place % EVERY == 7;
    let deaths = Shared::slice_with(3 * DEADLY_BLOCKS, |place| AtomicU32::new(is_due(place).into())).unwrap();
    assert!(DEATHS.set(deaths).is_ok());
    let crew = Crew::new(2, spare_tables, deadly_count).unwrap();
    let plan = Plan { paths: slice::from_ref(&corpus.directory), block_size: SMALL_BLOCK };
    let mut counted = count_all(plan, &mut &crew, &mut Told::default()).unwrap();
    check(&corpus, &mut counted);
    assert!(crew.pool().statistics().replaced >= 10, "{:?}", crew.pool().statistics());
}

/// Counts again and again while workers are killed, until there were enough kills.
fn kill_at_random(seed: u64) {
    let corpus = Corpus::random("killed", seed, 250);
    let mut random = Random(seed);
    let mut kills: u64 = 0;
    let mut runs = 0;
    while kills < KILLS {
        let crew = Crew::new(2, SPARE_TABLES, count_block).unwrap();
        let over = AtomicBool::new(false);
        let most = KILLS - kills;
        let mut counted = thread::scope(|scope| {
            let killer = scope.spawn(|| kill_workers(&crew, most, &mut random, &over));
            let plan = Plan { paths: slice::from_ref(&corpus.directory), block_size: SMALL_BLOCK };
            let counted = count_all(plan, &mut &crew, &mut Told::default()).unwrap();
            over.store(true, Ordering::Relaxed);
            kills += killer.join().unwrap();
            counted
        });
        check(&corpus, &mut counted);
        runs += 1;
        assert!(runs < 1000, "{kills} kills in {runs} runs");
    }
    println!("     {kills} kills in {runs} runs");
}

/// Kills a worker after every so many blocks, at some moment; how many were killed while work was left.
fn kill_workers<F: Fn(&[u8], &Block) + Copy + Send + Sync + 'static>(
    crew: &Crew<F>,
    most: u64,
    random: &mut Random,
    over: &AtomicBool,
) -> u64 {
    let (mut kills, mut done_before) = (0, 0);
    while kills < most && !over.load(Ordering::Relaxed) {
        let done = crew.tables().progress().0;
        let worker = random.below(2) as usize;
        let pid = || crew.pool().worker_statistics(worker).map_or(0, |statistics| statistics.pid);
        let victim = pid();
        if done < done_before + BETWEEN_KILLS || victim == 0 {
            thread::yield_now();
            continue;
        }
        thread::sleep(Duration::from_micros(random.below(1500)));
        if over.load(Ordering::Relaxed) {
            break;
        }
        send(victim as u32, libc::SIGKILL);
        kills += 1;
        while pid() == victim && !over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        done_before = crew.tables().progress().0;
    }
    kills
}
