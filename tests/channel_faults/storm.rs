//! Many kills, with every message accounted for; and strangers who write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{ByteReceiver, ByteSender, Error, Process, Shared};
use forq::{byte_channel, channel};

use super::common::{join, kill};
use crate::support::{Random, eventually, is_asleep};

forq::shareable! {
    /// Accounts of a storm.
    struct Accounts {
        /// Of each producer's life: how many puts have returned.
        put: [AtomicU64; 4096],
        /// How many messages consumers have got.
        got: AtomicU64,
        /// The number that each life's next message must have.
        next: [AtomicU64; 4096],
        /// What was found wrong.
        wrong: AtomicU64,
        /// Calls that returned, of either side: somebody moves.
        moves: [AtomicU64; 2],
    }
}

const SIZE: usize = 40;

/// A message: which life, which number, and bytes that follow from these.
pub(super) fn message(life: u64, number: u64) -> [u64; SIZE / 8] {
    std::array::from_fn(|at| match at {
        0 => life,
        1 => number,
        at => life.wrapping_mul(0x9E37_79B9) ^ number.rotate_left(at as u32),
    })
}

fn put_for_ever(sender: &mut ByteSender, accounts: &Accounts, life: usize) {
    let mut number = 0;
    loop {
        let bytes = message(life as u64, number);
        let bytes = bytemuck::bytes_of(&bytes);
        let put = if number % 2 == 0 {
            sender.put(bytes)
        } else {
            sender.reserve().and_then(|mut slot| slot.write(0, bytes).and_then(|()| slot.commit(SIZE)))
        };
        match put {
            Ok(()) => number += 1,
            // The other one's successor takes its time.
            Err(Error::Disconnected) => continue,
            Err(error) => {
                println!("a put failed: {error}");
                accounts.wrong.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        accounts.put[life].store(number, Ordering::Relaxed);
        accounts.moves[0].fetch_add(1, Ordering::Relaxed);
    }
}

fn get_for_ever(receiver: &mut ByteReceiver, accounts: &Accounts) {
    let mut got = [0u64; SIZE / 8];
    for round in 0.. {
        let size = if round % 2 == 0 {
            receiver.get(bytemuck::bytes_of_mut(&mut got))
        } else {
            receiver.peek().and_then(|message| {
                let size = message.len();
                message.read(0, bytemuck::bytes_of_mut(&mut got))?;
                message.release();
                Ok(size)
            })
        };
        if size == Err(Error::Disconnected) {
            continue;
        }
        // A consumer that is killed here has taken a message that it has not counted.
        let (life, number) = (got[0], got[1]);
        let wanted = accounts.next.get(life as usize).map_or(u64::MAX, |next| next.load(Ordering::Relaxed));
        // One may be missing for each consumer that was killed; none may come twice or torn.
        if size != Ok(SIZE) || got != message(life, number) || number < wanted || number > wanted + 1 {
            println!("got {size:?}, {got:?}; {wanted} was expected");
            accounts.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        }
        accounts.next[life as usize].store(number + 1, Ordering::Relaxed);
        accounts.got.fetch_add(1, Ordering::Relaxed);
        accounts.moves[1].fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn storm() {
    let kills = std::env::var("FORQ_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(600u64);
    let mut random = Random(0x5EED);
    for (capacity, lives) in [(1, kills / 3), (3, kills / 3), (100, kills - 2 * (kills / 3))] {
        for begin in (0..lives).step_by(2000) {
            storm_of(capacity, 2000.min(lives - begin), &mut random);
        }
    }
}

fn storm_of(capacity: usize, kills: u64, random: &mut Random) {
    let accounts = Shared::new(Accounts {
        put: [const { AtomicU64::new(0) }; 4096],
        got: AtomicU64::new(0),
        next: [const { AtomicU64::new(0) }; 4096],
        wrong: AtomicU64::new(0),
        moves: [const { AtomicU64::new(0) }; 2],
    })
    .unwrap();
    let (mut sender, mut receiver) = byte_channel(capacity, SIZE).unwrap();
    let mut life = 0;
    let mut producer = Process::spawn(|| put_for_ever(&mut sender, &accounts, 0)).unwrap();
    let mut consumer = Process::spawn(|| get_for_ever(&mut receiver, &accounts)).unwrap();
    let mut killed_consumers = 0;
    for _ in 0..kills {
        let moves = || accounts.moves.iter().map(|moves| moves.load(Ordering::Relaxed)).sum::<u64>();
        let before = moves();
        eventually("somebody moves", || moves() > before + 2);
        for _ in 0..random.below(2000) {
            std::hint::spin_loop();
        }
        if random.below(2) == 0 {
            kill(producer);
            life += 1;
            producer = Process::spawn(|| put_for_ever(&mut sender, &accounts, life)).unwrap();
        } else {
            kill(consumer);
            killed_consumers += 1;
            consumer = Process::spawn(|| get_for_ever(&mut receiver, &accounts)).unwrap();
        }
    }
    kill(producer);
    eventually("the consumer has what is left", || receiver.is_empty() && is_asleep(consumer.pid()));
    kill(consumer);
    assert_eq!(accounts.wrong.load(Ordering::Relaxed), 0);
    let (mut put, mut seen) = (0, 0);
    for life in 0..=life {
        let (own, next) =
            (accounts.put[life].load(Ordering::Relaxed), accounts.next[life].load(Ordering::Relaxed));
        // The last one of each may have been put although its put did not return.
        put += own + 1;
        seen += next;
        assert!(next <= own + 1, "life {life}: {next} of {own}");
    }
    let got = accounts.got.load(Ordering::Relaxed);
    assert!(got <= seen && seen - got <= killed_consumers, "{got} of {seen}, {killed_consumers} killed");
    assert!(seen <= put && put - seen <= 2 * (life as u64 + 1) + killed_consumers, "{seen} of {put}");
}

/// Writes random words all over the memory for as long as it lives.
fn scribble(memory: *mut [u8], mut random: Random) -> ! {
    let (start, words) = (memory.cast::<u64>(), memory.len() / 8);
    loop {
        // Mostly where the positions, gates and owners are.
        let range = if random.below(4) == 0 { words as u64 } else { 96 };
        let at = random.below(range) as usize;
        let value = match random.below(4) {
            0 => random.below(16),
            1 => random.below(1 << 30) << 32 | random.below(8),
            2 => u64::MAX,
            _ => random.below(1 << 40),
        };
        // SAFETY: inside the mapping; atomically, as all else that is done there.
        unsafe { AtomicU64::from_ptr(start.add(at)) }.store(value, Ordering::Relaxed);
        for _ in 0..random.below(300) {
            std::hint::spin_loop();
        }
    }
}

pub(super) fn hostile() {
    const TIME: Duration = Duration::from_millis(1);
    let (mut sender, mut receiver) = byte_channel(5, 700).unwrap();
    let (mut values, mut out) = channel::<u64>(5).unwrap();
    let memories = [sender.__memory(), values.__memory()];
    let scribblers: Vec<Process> = memories
        .into_iter()
        .enumerate()
        .map(|(seed, memory)| Process::spawn(move || scribble(memory, Random(seed as u64 + 1))).unwrap())
        .collect();
    let until = Instant::now() + Duration::from_secs(3);
    let putting = Process::spawn(|| {
        let message = [7; 700];
        while Instant::now() < until {
            let _ = sender.put_timeout(&message[..300], TIME);
            let _ = values.put_timeout(1, TIME);
            if let Ok(mut slot) = sender.reserve_timeout(TIME) {
                let _ = slot.write(0, &message).and_then(|()| slot.commit(700));
            }
            let _ = sender.len() + values.len();
        }
        values.close();
        sender.close();
    })
    .unwrap();
    let getting = Process::spawn(|| {
        let mut buffer = [0; 700];
        while Instant::now() < until {
            if let Ok(size) = receiver.get_timeout(&mut buffer, TIME) {
                assert!(size <= 700);
            }
            let _ = out.get_timeout(TIME);
            if let Ok(message) = receiver.peek_timeout(TIME) {
                assert!(message.len() <= 700);
                let _ = message.read(0, &mut buffer[..message.len()]);
                message.release();
            }
        }
    })
    .unwrap();
    join(putting);
    join(getting);
    scribblers.into_iter().for_each(kill);
}

pub(super) fn garbage() {
    let mut random = Random(0x6A5);
    let values = [0, 1, 5, 6, u64::MAX, u64::MAX - 1, 1 << 31, 1 << 32, 1 << 63, 0x5555_5555_5555_5555];
    for round in 0..3000 {
        let (mut sender, mut receiver) = byte_channel(5, 700).unwrap();
        if round % 2 == 0 {
            sender.put(&[1; 300]).unwrap();
            let _ = receiver.try_get(&mut [0; 700]);
            sender.put(&[1; 300]).unwrap();
        }
        let memory = sender.__memory();
        for _ in 0..=random.below(4) {
            let at = random.below(96) as usize;
            let value = values[random.below(values.len() as u64) as usize];
            // SAFETY: inside the mapping.
            unsafe { AtomicU64::from_ptr(memory.cast::<u64>().add(at)) }.store(value, Ordering::Relaxed);
        }
        let mut buffer = [0; 700];
        let _ = sender.len();
        for _ in 0..8 {
            let _ = sender.put_timeout(&[2; 100], Duration::from_micros(1));
            let _ = receiver.get_timeout(&mut buffer, Duration::from_micros(1));
            let _ = receiver.try_peek().map(|message| message.to_vec());
            let _ = sender.try_reserve().map(|slot| slot.commit(1));
        }
        sender.close();
        let _ = receiver.get_timeout(&mut buffer, Duration::from_micros(1));
        assert!(sender.put(&[]).is_err());
    }
}
