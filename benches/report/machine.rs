//! Where it was measured.

use std::process::Command;

/// What a program says, its first line.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

/// What is to be said of this machine: names and values.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.to_owned());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let or_none = |said: Option<String>| said.unwrap_or_else(|| "none".to_owned());
    vec![
        ("CPU", format!("{model}, {cpus} of them for this process")),
        ("kernel", format!("Linux {}", kernel.trim())),
        ("rustc", or_none(said("rustc", &["--version"]))),
        ("C compiler", or_none(said("gcc", &["--version"]))),
        ("C library", or_none(said("getconf", &["GNU_LIBC_VERSION"]))),
        ("Python", or_none(said("python3", &["--version"]))),
    ]
}

/// Day and time in UTC, of seconds since 1970 (after H. Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
}
