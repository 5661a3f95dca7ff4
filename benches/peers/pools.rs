//! Other pools: C and Python ones in processes of their own, which give a sample for each line they are sent.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A program that measures itself.
pub(crate) struct Peer {
    child: Child,
    requests: Option<ChildStdin>,
    samples: BufReader<ChildStdout>,
}

impl Peer {
    fn start(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (requests, samples) = (child.stdin.take(), BufReader::new(child.stdout.take()?));
        Some(Self { child, requests, samples })
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

impl Drop for Peer {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}

/// Those that are to be had here: without a compiler or Python there are fewer.
pub(crate) struct Pools {
    pub(crate) fork: Option<Peer>,
    pub(crate) openmp: Option<Peer>,
    pub(crate) python: Option<Peer>,
}

impl Pools {
    pub(crate) fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pool_peer");
        let compiled = Command::new("gcc")
            .args(["-std=gnu11", "-O2", "-fopenmp", "-o"])
            .arg(&program)
            .arg(here.join("pool.c"))
            .status()
            .is_ok_and(|status| status.success());
        let c = |which| compiled.then(|| Peer::start(Command::new(&program).arg(which))).flatten();
        Self {
            fork: c("fork"),
            openmp: c("openmp"),
            python: Peer::start(Command::new("python3").arg(here.join("pool.py"))),
        }
    }
}
