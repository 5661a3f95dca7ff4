//! Whoever runs an operation to be killed in it.

use super::stage::Stage;
use super::tracee::{Tracee, trap};

/// Lets `drive` drive a victim that runs `act`, then kills it. All are forked here, from the same place of the stack: what libc does with a buffer
/// depends on where that lies.
#[inline(never)]
pub(super) fn with_victim(stage: &Stage, act: &dyn Fn(&Stage), drive: &mut dyn FnMut(&Tracee)) {
    on_own_stack(&mut || {
        let victim = Tracee::start(|| {
            // What is learnt of a thread at its first use of forq is not stepped through.
            let _ = forq::is_robust();
            trap();
            act(stage);
            trap();
        });
        drive(&victim);
    });
}

/// Calls `body` with the stack at the start of a page.
fn on_own_stack(body: &mut dyn FnMut()) {
    #[repr(align(4096))]
    struct Stack {
        _room: [u8; 1 << 20],
    }
    static mut STACK: Stack = Stack { _room: [0; 1 << 20] };
    extern "C" fn call(body: *mut &mut dyn FnMut()) {
        // SAFETY: what `on_own_stack` passed on.
        unsafe { (*body)() }
    }
    let mut body = body;
    let top = (&raw mut STACK).addr() + size_of::<Stack>();
    // SAFETY: this program has one thread, and does not nest these calls; the call returns to the stack that it came from. A panic
    // does not cross it: it would end the program, as it should.
    unsafe {
        core::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {call}",
            "mov rsp, r12",
            top = in(reg) top,
            call = sym call,
            in("rdi") &raw mut body,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}
