//! A process that is run instruction by instruction.

/// Stops a traced process.
#[inline(always)]
pub(super) fn trap() {
    // SAFETY: raises a signal that the tracer takes; the compiler must assume that it touches memory.
    unsafe { core::arch::asm!("int3") };
}

/// The first byte of that instruction.
const TRAP: u8 = 0xcc;
const RIP: usize = std::mem::offset_of!(libc::user_regs_struct, rip);

/// The first entry, and the pending one: what the kernel looks at when its thread ends.
pub(super) type RobustList = [usize; 2];

/// How it runs to a breakpoint.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    Free = libc::PTRACE_CONT as isize,
    /// Stops at a system call, too.
    UpToCalls = libc::PTRACE_SYSCALL as isize,
}

/// A traced child, stopped; it is killed when this is dropped.
pub(super) struct Tracee {
    pid: i32,
    /// Where its thread's robust list begins.
    head: usize,
}

impl Tracee {
    /// Forks a child that runs `body` from its first trap on, and stops there.
    pub(super) fn start(body: impl FnOnce()) -> Self {
        let (mut head, mut size) = (0usize, 0usize);
        // SAFETY: this program has one thread, and the child leaves by `_exit`; places for the results.
        let pid = unsafe {
            libc::syscall(libc::SYS_get_robust_list, 0, &mut head, &mut size);
            libc::fork()
        };
        assert!(pid >= 0, "fork failed");
        if pid == 0 {
            // SAFETY: no pointers; the child ends here, in any case.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
                libc::_exit(i32::from(ended.is_err()));
            }
        }
        let tracee = Self { pid, head };
        tracee.expect_trap();
        tracee.request(libc::PTRACE_SETOPTIONS, 0, libc::PTRACE_O_EXITKILL as usize);
        tracee
    }

    fn request(&self, request: libc::c_uint, address: usize, value: usize) {
        // SAFETY: the requests made here read and write the child only, or the place that `value` points to.
        let result = unsafe { libc::syscall(libc::SYS_ptrace, request, self.pid, address, value) };
        assert!(result >= 0, "ptrace request {request}: {}", std::io::Error::last_os_error());
    }

    fn expect_trap(&self) {
        let mut status = 0;
        // SAFETY: a place for the result.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        let is_trap = pid == self.pid && libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP;
        assert!(is_trap, "the victim stopped otherwise: {status:#x}");
    }

    fn peek(&self, address: usize) -> usize {
        let mut word = 0usize;
        self.request(libc::PTRACE_PEEKDATA, address, (&raw mut word).addr());
        word
    }

    /// What it will execute next.
    pub(super) fn place(&self) -> Place {
        // SAFETY: integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.request(libc::PTRACE_GETREGS, 0, (&raw mut registers).addr());
        Place { instruction: registers.rip as usize, stack: registers.rsp as usize }
    }

    /// Executes one instruction.
    pub(super) fn step(&self) {
        self.request(libc::PTRACE_SINGLESTEP, 0, 0);
        self.expect_trap();
    }

    /// Runs at full speed to the next time that it comes to this instruction. False: it stopped elsewhere, at its end or as its pace says.
    pub(super) fn run_to(&self, address: usize, pace: Pace) -> bool {
        let (start, byte) = (address & !7, address & 7);
        let own = code::<8>(start);
        let mut trapped = own;
        trapped[byte] = TRAP;
        self.request(libc::PTRACE_POKEDATA, start, usize::from_ne_bytes(trapped));
        self.request(pace as libc::c_uint, 0, 0);
        self.expect_trap();
        if self.place().instruction != address + 1 {
            return false;
        }
        self.request(libc::PTRACE_POKEDATA, start, usize::from_ne_bytes(own));
        self.request(libc::PTRACE_POKEUSER, RIP, address);
        true
    }

    pub(super) fn robust_list(&self) -> RobustList {
        [self.peek(self.head), self.peek(self.head + 16)]
    }
}

/// Where a victim stands: a fork's code, and its stack, are where they are in any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) instruction: usize,
    stack: usize,
}

impl Place {
    /// Whether the instruction enters the kernel.
    pub(super) fn is_system_call(self) -> bool {
        // No page of code ends with such an instruction's first byte.
        code(self.instruction) == [0x0f, 0x05]
    }

    /// Whether it is the mark of the end.
    pub(super) fn is_end(self) -> bool {
        code(self.instruction) == [TRAP]
    }
}

/// Bytes of code.
fn code<const N: usize>(at: usize) -> [u8; N] {
    // SAFETY: part of a page that a victim executes: it is a fork of this program, whose code is where ours is.
    unsafe { std::ptr::with_exposed_provenance::<[u8; N]>(at).read() }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // SAFETY: our own child; no place for the result is given.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}
