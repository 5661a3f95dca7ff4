//! Instructions of the short paths, counted by callgrind: the same on every machine and under any load, so that a path that grew is seen.
//!
//! `cargo bench --bench instructions` compares with `benches/instructions.txt` and fails where one takes over a tenth more; with
//! `FORQ_BLESS=1` it writes the file. Each path is run 1,000 times and 11,000 times under valgrind; the difference is counted. The pool is not
//! among them: valgrind does not know the system calls by which it watches its workers.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use forq::{Event, Manager, Mutex, Queue, Semaphore, Shared, byte_channel, channel};

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// A path: its name, and what runs it so many times.
type Path = (&'static str, fn(u64));

const PATHS: &[Path] = &[
    ("mutex: lock and unlock", |times| {
        let mutex = Shared::new(Mutex::new(0u64)).unwrap();
        for _ in 0..times {
            *mutex.lock().unwrap() += 1;
        }
    }),
    ("semaphore: acquire and release", |times| {
        let semaphore = Shared::new(Semaphore::new(1)).unwrap();
        for _ in 0..times {
            semaphore.acquire().unwrap();
            semaphore.release(1).unwrap();
        }
    }),
    ("event: wait for a set one", |times| {
        let event = Shared::new(Event::new()).unwrap();
        event.set();
        for _ in 0..times {
            event.wait().unwrap();
        }
    }),
    ("queue: put and get", |times| {
        let queue = Queue::<u64>::new(1024).unwrap();
        for number in 0..times {
            queue.put(number).unwrap();
            assert_eq!(queue.get(), Ok(number));
        }
    }),
    ("queue: a message of 16 put and got", |times| {
        let queue = Queue::<u64>::new(1024).unwrap();
        let mut messages = [7u64; 16];
        for _ in 0..times / 16 {
            assert_eq!(queue.put_many(&messages), Ok(16));
            assert_eq!(queue.get_many(&mut messages), Ok(16));
        }
    }),
    ("channel: put and get", |times| {
        let (mut sender, mut receiver) = channel::<u64>(1024).unwrap();
        for number in 0..times {
            sender.put(number).unwrap();
            assert_eq!(receiver.get(), Ok(number));
        }
    }),
    ("channel of bytes: put and get", |times| {
        let (mut sender, mut receiver) = byte_channel(1024, 64).unwrap();
        let mut buffer = [0; 64];
        for _ in 0..times {
            sender.put(&[5; 32]).unwrap();
            assert_eq!(receiver.get(&mut buffer), Ok(32));
        }
    }),
    ("dict: get", |times| {
        let manager = Manager::new(4 << 20).unwrap();
        let dict = manager.dict::<u64, u64>("dict").unwrap();
        (0..1000).for_each(|key| dict.set(&key, &key).unwrap());
        for number in 0..times {
            assert_eq!(dict.get(&(number % 1000)), Ok(Some(number % 1000)));
        }
    }),
    ("dict: set", |times| {
        let manager = Manager::new(4 << 20).unwrap();
        let dict = manager.dict::<u64, u64>("dict").unwrap();
        (0..1000).for_each(|key| dict.set(&key, &key).unwrap());
        for number in 0..times {
            dict.set(&(number % 1000), &number).unwrap();
        }
    }),
    ("list: get", |times| {
        let manager = Manager::new(4 << 20).unwrap();
        let list = manager.list::<u64>("list").unwrap();
        (0..1000).for_each(|item| list.push(&item).unwrap());
        for number in 0..times {
            assert_eq!(list.get((number % 1000) as usize), Ok(number % 1000));
        }
    }),
];

/// Instructions of this program when it runs a path so many times.
fn count(path: usize, times: u64) -> u64 {
    let own = std::env::current_exe().expect("this program has a file");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--path", &path.to_string(), &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("valgrind is installed");
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}");
    let collected = told.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    collected.expect("callgrind says how many")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--path") {
        let number = |at: usize| arguments[at].parse::<u64>().expect("a number");
        PATHS[number(at + 1) as usize].1(number(at + 2));
        return ExitCode::SUCCESS;
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
    let noted = std::fs::read_to_string(file).unwrap_or_default();
    let noted_for =
        |name: &str| noted.lines().find_map(|line| line.strip_suffix(name)?.trim().parse::<f64>().ok());
    let (mut lines, mut grown) = (Vec::new(), 0);
    for (index, &(name, _)) in PATHS.iter().enumerate() {
        let now = (count(index, MANY) - count(index, FEW)) as f64 / (MANY - FEW) as f64;
        let before = noted_for(name);
        let verdict = match before {
            Some(before) if now > before * 1.1 => {
                grown += 1;
                "GREW"
            }
            Some(before) if now < before * 0.9 => "shrank: FORQ_BLESS=1 notes it",
            Some(_) => "",
            None => {
                grown += 1;
                "NOT NOTED"
            }
        };
        println!(
            "{now:>8.1}  {:>8}  {name}  {verdict}",
            before.map_or("-".into(), |before| format!("{before:.1}"))
        );
        std::io::stdout().flush().expect("there is an output");
        lines.push(format!("{now:>8.1}  {name}\n"));
    }
    if std::env::var_os("FORQ_BLESS").is_some() {
        std::fs::write(file, lines.concat()).expect("the file can be written");
        return ExitCode::SUCCESS;
    }
    if grown > 0 {
        eprintln!("{grown} paths take more instructions than noted in benches/instructions.txt");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
