//! A process that is run instruction by instruction.

use std::ops::Range;
use std::sync::OnceLock;

use super::failure::{Checked, Failure};
use super::stage::Stage;
use super::system::{self, Change};
use super::trap::TRAP;

/// A traced child. Whatever happens to its tracer, it dies with it (`PTRACE_O_EXITKILL`).
pub(super) struct Tracee {
    pid: i32,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Before the next instruction.
    Done,
    /// As `Done`, after a futex call that might have slept.
    Waited,
    /// Inside a futex call, asleep on the word it was asked about.
    Asleep,
}

/// What the kernel will look at when the process dies, besides memory.
pub(super) type RobustList = [usize; 2];

const RIP: usize = std::mem::offset_of!(libc::user_regs_struct, rip);
const SYSCALL: [u8; 2] = [0x0f, 0x05];

impl Tracee {
    /// Forks a child that runs `body` until its first trap.
    pub(super) fn start(body: impl FnOnce() -> i32) -> Checked<Self> {
        let pid = system::fork(|| {
            // SAFETY: no pointers.
            unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            body()
        });
        let tracee = Self { pid };
        let ready = tracee
            .expect_trap(system::wait(pid))
            .and_then(|()| tracee.request(libc::PTRACE_SETOPTIONS, 0, libc::PTRACE_O_EXITKILL as usize));
        match ready {
            Ok(_) => Ok(tracee),
            Err(failure) => {
                system::kill_and_reap(pid);
                Err(failure)
            }
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    fn expect_trap(&self, change: Option<Change>) -> Checked {
        match change {
            Some(Change::Stopped(libc::SIGTRAP)) => Ok(()),
            Some(other) => Err(Failure::Harness(format!("a traced process stopped otherwise: {other:?}"))),
            None => Err(Failure::Harness("a traced process did not stop".into())),
        }
    }

    fn request(&self, request: libc::c_uint, address: usize, value: usize) -> Checked<i64> {
        // SAFETY: the requests made here read and write the child only, or the place that `value` points to.
        let result = unsafe { libc::syscall(libc::SYS_ptrace, request, self.pid, address, value) };
        if result < 0 {
            let error = std::io::Error::last_os_error();
            return Err(Failure::Harness(format!("ptrace request {request}: {error}")));
        }
        Ok(result)
    }

    fn read(&self, request: libc::c_uint, address: usize) -> Checked<usize> {
        let mut value = 0usize;
        self.request(request, address, (&raw mut value).addr())?;
        Ok(value)
    }

    /// A word of its memory.
    pub(super) fn peek(&self, address: usize) -> Checked<usize> {
        self.read(libc::PTRACE_PEEKDATA, address)
    }

    /// The instruction that it will execute next.
    pub(super) fn at(&self) -> Checked<usize> {
        self.read(libc::PTRACE_PEEKUSER, RIP)
    }

    /// Whether the next instruction is a trap: the end of the stepped part.
    pub(super) fn is_at_trap(at: usize) -> bool {
        code(at)[0] == TRAP
    }

    /// Whether the instruction at this address enters the kernel.
    pub(super) fn is_system_call(at: usize) -> bool {
        code(at) == SYSCALL
    }

    /// Executes one instruction, or one call into the kernel's clock page, `now` being where it is.
    /// `asleep` decides whether it sleeps in a futex call that it entered.
    pub(super) fn step(&self, now: usize, asleep: impl Fn(i32) -> bool) -> Checked<Step> {
        let waits = Self::is_system_call(now) && self.enters_futex_wait()?;
        self.request(libc::PTRACE_SINGLESTEP, 0, 0)?;
        if waits {
            let change = system::poll(|| match system::look(self.pid) {
                Some(change) => Some(Some(change)),
                None => asleep(self.pid).then_some(None),
            });
            match change {
                Some(None) => return Ok(Step::Asleep),
                change => self.expect_trap(change.flatten())?,
            }
        } else {
            self.expect_trap(system::wait_stop(self.pid))?;
        }
        self.leave_clock()?;
        Ok(if waits { Step::Waited } else { Step::Done })
    }

    /// Waits for the end of a step that fell asleep. False: the watchdog bit.
    pub(super) fn awake(&self) -> Checked<bool> {
        match system::wait(self.pid) {
            None => Ok(false),
            change => self.expect_trap(change).map(|()| true),
        }
    }

    fn enters_futex_wait(&self) -> Checked<bool> {
        let registers = self.registers()?;
        let operation = registers.rsi as i32 & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
        let waits = operation == libc::FUTEX_WAIT || operation == libc::FUTEX_WAIT_BITSET;
        let one = registers.rax == libc::SYS_futex as u64 && waits;
        Ok(one || registers.rax == libc::SYS_futex_waitv as u64)
    }

    /// Whether the system call that it is about to make sleeps on a futex or wakes others.
    pub(super) fn enters_futex(&self) -> Checked<bool> {
        let call = self.call()?;
        Ok(call == libc::SYS_futex || call == libc::SYS_futex_waitv)
    }

    /// The number of the system call that it is about to make.
    pub(super) fn call(&self) -> Checked<i64> {
        Ok(self.registers()?.rax as i64)
    }

    fn registers(&self) -> Checked<libc::user_regs_struct> {
        // SAFETY: integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.request(libc::PTRACE_GETREGS, 0, (&raw mut registers).addr())?;
        Ok(registers)
    }

    /// The clock's code belongs to the kernel and takes a number of instructions that depends on the
    /// time; it writes only where its caller says. It is run as a whole.
    fn leave_clock(&self) -> Checked {
        if clock_page().contains(&self.at()?) {
            let stack =
                self.read(libc::PTRACE_PEEKUSER, std::mem::offset_of!(libc::user_regs_struct, rsp))?;
            self.run_to(self.peek(stack)?)?;
        }
        Ok(())
    }

    /// Runs at full speed to an instruction that it is sure to come by.
    pub(super) fn run_to(&self, address: usize) -> Checked {
        let text = self.peek(address)?;
        self.request(libc::PTRACE_POKEDATA, address, text & !0xff | usize::from(TRAP))?;
        self.request(libc::PTRACE_CONT, 0, 0)?;
        match system::wait(self.pid) {
            None => return Err(Failure::OtherPath(format!("does not come to {address:#x}"))),
            change => self.expect_trap(change)?,
        }
        if self.at()? != address + 1 {
            return Err(Failure::OtherPath(format!("came to {:#x}, not to {address:#x}", self.at()? - 1)));
        }
        self.request(libc::PTRACE_POKEDATA, address, text)?;
        self.request(libc::PTRACE_POKEUSER, RIP, address)?;
        Ok(())
    }

    /// Runs at full speed to the trap ahead. False: the watchdog bit.
    pub(super) fn comes_to_trap(&self) -> Checked<bool> {
        self.request(libc::PTRACE_CONT, 0, 0)?;
        self.awake()
    }

    /// Lets it go on from a trap, untraced.
    pub(super) fn release(&self) -> Checked {
        if Self::is_at_trap(self.at()?) {
            self.request(libc::PTRACE_POKEUSER, RIP, self.at()? + 1)?;
        }
        self.detach()
    }

    /// Lets it go on, untraced. It must be stopped.
    pub(super) fn detach(&self) -> Checked {
        self.request(libc::PTRACE_DETACH, 0, 0).map(drop)
    }

    /// Runs it until it sleeps in `lock`, to be stopped again as soon as it wakes: it leaves the futex's
    /// queue when it is woken, and then goes no further.
    pub(super) fn sleep_on_a_leash(&self, stage: &Stage, lock: usize) -> Checked {
        self.request(libc::PTRACE_SYSCALL, 0, 0)?;
        loop {
            let change = system::poll(|| match system::look(self.pid) {
                Some(change) => Some(Some(change)),
                None => system::is_asleep(self.pid, stage.futex(lock)).then_some(None),
            });
            match change {
                Some(None) => return Ok(()),
                change => self.expect_trap(change.flatten())?,
            }
            self.request(libc::PTRACE_SYSCALL, 0, 0)?;
        }
    }

    /// Lets it run to where it enters or leaves the kernel.
    pub(super) fn run_to_kernel(&self) -> Checked {
        self.request(libc::PTRACE_SYSCALL, 0, 0).map(drop)
    }

    /// The head of its robust list: the first entry, and the pending one.
    pub(super) fn robust_list(&self, head: usize) -> Checked<RobustList> {
        Ok([self.peek(head)?, self.peek(head + 16)?])
    }
}

/// The address of a thread's robust-list head; a forked child has it where its parent has it.
pub(super) fn robust_head() -> usize {
    let (mut head, mut size) = (0usize, 0usize);
    // SAFETY: places for the results.
    unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &mut head, &mut size) };
    head
}

/// The first two bytes of an instruction. Victims are forks: their code is at the same place as ours.
fn code(at: usize) -> [u8; 2] {
    // SAFETY: an address at which a fork of this process executes; no breakpoint is ever set in ours.
    unsafe { std::ptr::with_exposed_provenance::<[u8; 2]>(at).read_unaligned() }
}

fn clock_page() -> &'static Range<usize> {
    static PAGE: OnceLock<Range<usize>> = OnceLock::new();
    PAGE.get_or_init(|| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap_or("0-0 ");
        let (start, rest) = line.split_once('-').unwrap_or(("0", "0 "));
        let end = rest.split(' ').next().unwrap_or("0");
        let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
        number(start)..number(end)
    })
}
