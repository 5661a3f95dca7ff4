//! Other pools: C and Python ones in processes of their own.

use std::path::Path;
use std::process::Command;

use crate::program::Program;

/// Those that are to be had here: without a compiler or Python there are fewer.
pub(crate) struct Pools {
    pub(crate) fork: Option<Program>,
    pub(crate) openmp: Option<Program>,
    pub(crate) python: Option<Program>,
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
        if !compiled {
            println!("not measured: pools in C: gcc cannot compile benches/peers/pool.c");
        }
        let c = |which| compiled.then(|| Program::start(Command::new(&program).arg(which))).flatten();
        Self { fork: c("fork"), openmp: c("openmp"), python: Program::python("pool.py", &[]) }
    }
}
