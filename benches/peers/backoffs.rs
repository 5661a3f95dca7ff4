//! Ways to wait for what should happen soon.

/// Waits a little each time; false: it is time to sleep, or to do without.
pub(crate) trait Wait: Default {
    fn wait(&mut self) -> bool;
}

impl Wait for forq::Backoff {
    #[inline]
    fn wait(&mut self) -> bool {
        self.snooze()
    }
}

/// One pause after the other.
#[derive(Default)]
pub(crate) struct OnlySpins;

impl Wait for OnlySpins {
    #[inline]
    fn wait(&mut self) -> bool {
        std::hint::spin_loop();
        true
    }
}

/// One yield after the other.
#[derive(Default)]
pub(crate) struct OnlyYields;

impl Wait for OnlyYields {
    #[inline]
    fn wait(&mut self) -> bool {
        std::thread::yield_now();
        true
    }
}

impl Wait for crossbeam_utils::Backoff {
    #[inline]
    fn wait(&mut self) -> bool {
        let goes_on = !self.is_completed();
        if goes_on {
            self.snooze();
        }
        goes_on
    }
}

impl Wait for parking_lot_core::SpinWait {
    #[inline]
    fn wait(&mut self) -> bool {
        self.spin()
    }
}
