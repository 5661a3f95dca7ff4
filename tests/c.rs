//! The C face in the hands of C: builds the libraries, compiles `tests/c` and `c-examples` against them, runs each program.
//!
//! Programs are compiled by gcc, and by clang if there is one, without a warning. They run with the static library,
//! the one without std, and the shared one, at the same time. An argument selects the programs whose names contain it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far above what any program takes, and above its own watchdog: it only ends what hangs.
const WATCHDOG: Duration = Duration::from_secs(300);
/// How long what a program has started may still be there when it has ended.
const ENDING: Duration = Duration::from_secs(5);

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Examples that are told by arguments what to do: compiled, not run.
const WITH_ARGUMENTS: [&str; 1] = ["word_count"];

/// Examples that need a library besides forq: `c-examples/Makefile` builds and runs them where there is one.
const NEED_MORE: [&str; 2] = ["mandelbrot", "mpi_map"];

/// What the shared library may ask the loader for.
const NEEDED: [&str; 4] = ["libc.", "libgcc_s.", "ld-linux", "ld-musl"];

type Outcome = Result<(), String>;

fn main() {
    let filter = std::env::args().nth(1).filter(|argument| !argument.starts_with('-')).unwrap_or_default();
    let bench = Bench::new();
    let mut tally = Tally::default();
    let libraries = match bench.build_libraries() {
        Ok(libraries) => libraries,
        Err(why) => {
            println!("FAIL building the libraries: {why}");
            std::process::exit(1);
        }
    };
    tally.check("the header alone, as C99", bench.compile_header("gcc", "-std=c99", "c"));
    tally.check("the header alone, as C++17", bench.compile_header("g++", "-std=c++17", "c++"));
    tally.check("the shared library needs only libc", bench.check_needed(&libraries.shared));
    tally.check("the library without std links with plain gcc", bench.link_plainly(&libraries.no_std));
    let clang = Command::new("clang").arg("--version").output().is_ok();
    if !clang {
        println!("     clang is not installed: gcc only");
    }
    for source in bench.programs().into_iter().filter(|source| stem(source).contains(&filter)) {
        let name = stem(&source);
        if clang {
            tally.check(&format!("{name}, compiled by clang"), bench.compile("clang", &source).map(drop));
        }
        let object = match bench.compile("gcc", &source) {
            Ok(object) => object,
            Err(why) => {
                tally.check(&format!("{name}, compiled by gcc"), Err(why));
                continue;
            }
        };
        let run = |kind, library| {
            let program = bench.link(&object, library, kind)?;
            if WITH_ARGUMENTS.contains(&name.as_str()) { Ok(()) } else { bench.run(&program) }
        };
        let kinds =
            [("static", &libraries.plain), ("no_std", &libraries.no_std), ("shared", &libraries.shared)];
        // All three at a time: they wait more than they work.
        std::thread::scope(|scope| {
            let running = kinds.map(|(kind, library)| (kind, scope.spawn(move || run(kind, library))));
            for (kind, outcome) in running {
                let outcome = outcome.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
                tally.check(&format!("{name}, {kind}"), outcome);
            }
        });
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    std::process::exit(i32::from(tally.failed > 0));
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn check(&mut self, what: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok   {what}");
            }
            Err(why) => {
                self.failed += 1;
                println!("FAIL {what}: {why}");
            }
        }
    }
}

struct Libraries {
    plain: PathBuf,
    no_std: PathBuf,
    shared: PathBuf,
}

/// Where things are, and where things are made.
struct Bench {
    root: &'static Path,
    target: PathBuf,
    made: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let target = scratch.parent().expect("it is in the target directory").to_path_buf();
        let made = scratch.join("c");
        fs::create_dir_all(&made).expect("the directory can be made");
        Self { root: Path::new(env!("CARGO_MANIFEST_DIR")), target, made }
    }

    fn build_libraries(&self) -> Result<Libraries, String> {
        let no_std = self.target.join("nostd");
        self.cargo_clib(&self.target, &[])?;
        self.cargo_clib(&no_std, &["--no-default-features", "--", "--cfg", "forq_panic_handler"])?;
        Ok(Libraries {
            plain: self.target.join("release/libforq.a"),
            no_std: no_std.join("release/libforq.a"),
            shared: self.target.join("release/libforq.so"),
        })
    }

    fn cargo_clib(&self, target: &Path, more: &[&str]) -> Outcome {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(self.root).arg("clib").arg("--target-dir").arg(target).args(more);
        // gcc makes programs for this machine.
        command.env_remove("CARGO_BUILD_TARGET");
        finish(&mut command)
    }

    /// All of `tests/c` and `c-examples`, in the order of their names.
    fn programs(&self) -> Vec<PathBuf> {
        let mut programs = Vec::new();
        for folder in ["tests/c", "c-examples"] {
            let mut here: Vec<_> = fs::read_dir(self.root.join(folder))
                .expect("it can be listed")
                .map(|entry| entry.expect("it can be listed").path())
                .filter(|path| path.extension() == Some(OsStr::new("c")))
                .filter(|path| !NEED_MORE.contains(&stem(path).as_str()))
                .collect();
            here.sort();
            assert!(!here.is_empty(), "{folder} has no program");
            programs.append(&mut here);
        }
        programs
    }

    fn compiler(&self, compiler: &str, standard: &str) -> Command {
        let mut command = Command::new(compiler);
        command
            .arg(standard)
            .args(STRICT)
            .args(["-O2", "-g", "-pthread"])
            .arg("-I")
            .arg(self.root.join("include"));
        command
    }

    fn compile(&self, compiler: &str, source: &Path) -> Result<PathBuf, String> {
        let object = self.made.join(format!("{}.{compiler}.o", stem(source)));
        finish(self.compiler(compiler, "-std=c11").arg("-c").arg(source).arg("-o").arg(&object))?;
        Ok(object)
    }

    fn compile_header(&self, compiler: &str, standard: &str, language: &str) -> Outcome {
        let header = self.root.join("include/forq.h");
        finish(self.compiler(compiler, standard).args(["-fsyntax-only", "-x", language]).arg(header))
    }

    fn link(&self, object: &Path, library: &Path, kind: &str) -> Result<PathBuf, String> {
        let program = self.made.join(format!("{}.{kind}", stem(&object.with_extension(""))));
        let mut command = Command::new("gcc");
        command.arg(object).arg(library).arg("-pthread").arg("-o").arg(&program);
        if library.extension() == Some(OsStr::new("so")) {
            let folder = library.parent().expect("it is in a directory");
            command.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        finish(&mut command)?;
        Ok(program)
    }

    /// No libraries are named but ours, and none but libc is needed afterwards.
    fn link_plainly(&self, library: &Path) -> Outcome {
        let program = self.made.join("plain");
        let source = self.root.join("c-examples/pool.c");
        let include = self.root.join("include");
        finish(Command::new("gcc").arg("-I").arg(include).arg(source).arg(library).arg("-o").arg(&program))?;
        self.check_needed(&program)?;
        self.run(&program)
    }

    fn check_needed(&self, binary: &Path) -> Outcome {
        let output = Command::new("readelf")
            .arg("-d")
            .arg(binary)
            .output()
            .map_err(|error| format!("readelf: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let needed: Vec<_> = text
            .lines()
            .filter(|line| line.contains("(NEEDED)"))
            .filter_map(|line| line.split(['[', ']']).nth(1))
            .collect();
        if needed.is_empty() {
            return Err(format!("readelf lists nothing: {text}"));
        }
        match needed.iter().find(|name| !NEEDED.iter().any(|allowed| name.starts_with(allowed))) {
            Some(name) => Err(format!("it needs {name}")),
            None => Ok(()),
        }
    }

    /// Runs a program in a process group of its own, of which nothing is left afterwards.
    fn run(&self, program: &Path) -> Outcome {
        let log = program.with_extension(format!("{}.log", extension(program)));
        let file = File::create(&log).map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .current_dir(&self.made)
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(|error| error.to_string())?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        let group = i32::try_from(child.id()).expect("a process id");
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                break Some(status);
            }
            if started.elapsed() > WATCHDOG {
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // What was ending when it ended may take a moment, and be collected by another a moment later.
        let ended = Instant::now();
        // SAFETY: no pointers. The group is the child's, made for it, and gone if this fails.
        let is_there = |signal| unsafe { libc::kill(-group, signal) } == 0;
        while status.is_some() && is_there(0) && ended.elapsed() < ENDING {
            std::thread::sleep(Duration::from_millis(1));
        }
        let left_behind = is_there(libc::SIGKILL);
        let why = match status {
            None => {
                let _ = child.wait();
                "watchdog: it took too long".to_owned()
            }
            Some(status) if !status.success() => match status.signal() {
                Some(signal) => format!("signal {signal}"),
                None => format!("exit code {}", status.code().unwrap_or(-1)),
            },
            Some(_) if left_behind => "it left processes behind".to_owned(),
            Some(_) => return Ok(()),
        };
        Err(format!("{why}\n{}", fs::read_to_string(log).unwrap_or_default()))
    }
}

/// Runs a command; what it printed, if it did not go well.
fn finish(command: &mut Command) -> Outcome {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().into_owned()
}
