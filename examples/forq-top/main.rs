//! Shows what running programs do with forq, refreshed once a second: mutexes, queues, pools, collections.
//!
//! ```text
//! cargo run --release --example forq-top -- [--json] [--count N] [--interval SECONDS] [PID...]
//! ```
//!
//! Looks from outside at the processes given and at all that share memory with them; without any, at all of this user's that may use forq. Nothing is stopped,
//! nothing is written, and nothing had to be switched on before. Objects are called by the names that their programs gave them (`Mutex::set_name`,
//! `forq_mutex_set_name` and the like), or by where they are. A mutex without a name is found when it is seen held or waited for, and remembered.
//! Collections are those of managers. It takes the right to trace the processes (the same user, and what `kernel.yama.ptrace_scope` asks for) and their PID
//! namespace.
//!
//! Keys: `n` sorts by name, `r` by what is done a second, `w` by who waits; `q` ends it.
//!
//! `--json` prints an object a sample instead; what is told by the second is null in the first. The exit code is 0; 1 if a process cannot be looked at,
//! there is no terminal, or the arguments are wrong; 128 and its number if a signal ends it.

#[path = "../inspect/mod.rs"]
mod inspect;
mod json;
mod sample;
mod screen;

use std::io::{Error, IsTerminal, Result, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::crossterm::execute;
use sample::Sampler;
use screen::{Order, draw};

/// Shows what running programs do with forq.
#[derive(Debug, Parser)]
struct Arguments {
    /// Processes; those that share memory with them are found. None: all of this user's.
    #[arg(value_name = "PID")]
    pids: Vec<u32>,
    /// As JSON, an object a line for each sample.
    #[arg(long)]
    json: bool,
    /// How many samples; without it, until it is ended.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Seconds between samples.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
    interval: f64,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.01..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("0.01 to 86400".to_owned()) }
}

/// The pause before the sample after this one, at `rounds` intervals since the start.
fn until(started: Instant, interval: Duration, rounds: u64) -> Duration {
    (started + interval.mul_f64(rounds as f64)).saturating_duration_since(Instant::now())
}

fn print(arguments: &Arguments) -> Result<()> {
    let (mut sampler, interval) =
        (Sampler::new(&arguments.pids), Duration::from_secs_f64(arguments.interval));
    let started = Instant::now();
    for round in 0..arguments.count.unwrap_or(u64::MAX) {
        std::thread::sleep(until(started, interval, round));
        let Some(sample) = sampler.next()? else { break };
        writeln!(std::io::stdout(), "{}", sample.to_json())?;
    }
    Ok(())
}

/// What a key asks for; `None`: the end.
fn answer(key: event::KeyEvent, order: Order) -> Option<Order> {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => None,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => None,
        KeyCode::Char('n') => Some(Order::Name),
        KeyCode::Char('r') => Some(Order::Rate),
        KeyCode::Char('w') => Some(Order::Waiting),
        _ => Some(order),
    }
}

fn show(arguments: &Arguments, terminal: &mut ratatui::DefaultTerminal) -> Result<()> {
    let (mut sampler, interval) =
        (Sampler::new(&arguments.pids), Duration::from_secs_f64(arguments.interval));
    let (started, mut order) = (Instant::now(), Order::Name);
    for round in 1..=arguments.count.unwrap_or(u64::MAX) {
        let Some(mut sample) = sampler.next()? else { break };
        loop {
            order.apply(&mut sample);
            terminal.draw(|frame| draw(frame, &sample, order))?;
            if !event::poll(until(started, interval, round))? {
                break;
            }
            if let Event::Key(key) = event::read()? {
                match answer(key, order) {
                    Some(asked) => order = asked,
                    None => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

/// Has a thread give the terminal back when a signal asks this program to end.
fn restore_on_signals() {
    // SAFETY: a set may be zeroed; it is made an empty one, and the pointers are to it.
    let set = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        set
    };
    std::thread::spawn(move || {
        let mut signal = 0;
        // SAFETY: a set, and a place for the result.
        unsafe { libc::sigwait(&raw const set, &raw mut signal) };
        ratatui::restore();
        let _ = execute!(std::io::stdout(), Show);
        std::process::exit(128 + signal);
    });
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.json {
        return print(arguments);
    }
    // Else it would draw into a file, and set the terminal that its keys come from.
    if !std::io::stdout().is_terminal() {
        return Err(Error::other("the output is no terminal; see --json"));
    }
    restore_on_signals();
    let mut terminal =
        ratatui::try_init().map_err(|error| Error::other(format!("no terminal ({error}); see --json")))?;
    let shown = show(arguments, &mut terminal);
    ratatui::restore();
    shown
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads has enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forq-top: {error}");
            ExitCode::FAILURE
        }
    }
}
