//! Programs that give a sample for each line they are sent.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A program that measures itself.
pub(crate) struct Program {
    child: Child,
    requests: Option<ChildStdin>,
    samples: BufReader<ChildStdout>,
}

impl Program {
    /// `None` if it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (requests, samples) = (child.stdin.take(), BufReader::new(child.stdout.take()?));
        Some(Self { child, requests, samples })
    }

    /// A script of `benches/peers`, if Python is there; else says that it is not.
    pub(crate) fn python(script: &str, arguments: &[&str]) -> Option<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let started = Self::start(Command::new("python3").arg(here.join(script)).args(arguments));
        if started.is_none() {
            println!("not measured: Python (python3) is not installed");
        }
        started
    }

    /// Nanoseconds of one sample.
    pub(crate) fn sample(&mut self, request: &str) -> f64 {
        let requests = self.requests.as_mut().expect("open until dropped");
        writeln!(requests, "{request}").expect("the peer reads");
        let mut line = String::new();
        self.samples.read_line(&mut line).expect("the peer answers");
        line.trim().parse().unwrap_or_else(|_| panic!("{request}: {line:?}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}
