//! Mirrors of `bpf/process.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror};

/// `TRACE_SIGNAL_IGNORED`.
const IGNORED: u32 = 1;

mirror! {
    /// A program started in a process.
    Exec = "tapio_exec" {
        /// Kind, size, time.
        head: Head,
        /// The process; `comm` is already the new program's.
        task: Task,
        /// Its parent.
        parent: Task,
        /// 1: lockdown hides it; `/proc/PID/exe` may tell.
        filename_unknown: u32,
        /// 1: it dies with the first process of its pid namespace, which is another.
        guest: u32,
        /// What was executed.
        filename: [u8; 128],
    }
}

mirror! {
    /// A process (its leader) ended.
    Exit = "tapio_exit" {
        /// Kind, size, time.
        head: Head,
        /// The process.
        task: Task,
        /// Its parent.
        parent: Task,
        /// A wait status: [`Exit::code`], [`Exit::signal`], [`Exit::dumped_core`].
        exit_code: u32,
        /// Zero.
        pad: u32,
    }
}

/// The bits of a wait status that hold the signal.
const SIGNAL_BITS: u32 = 0x7f;

impl Exit {
    /// What it passed to exit(2); `None` when a signal ended it.
    pub fn code(&self) -> Option<u32> {
        self.signal().is_none().then_some(self.exit_code >> 8 & 0xff)
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<u32> {
        let signal = self.exit_code & SIGNAL_BITS;
        (signal != 0).then_some(signal)
    }

    /// It left a core.
    pub fn dumped_core(&self) -> bool {
        self.exit_code & 0x80 != 0
    }
}

mirror! {
    /// A signal that ends processes was generated.
    Signal = "tapio_signal" {
        /// Kind, size, time.
        head: Head,
        /// Who ran when it was generated; the sender unless `from_kernel`.
        sender: Task,
        /// Whom it is for.
        target: Task,
        /// The parent of whom it is for.
        parent: Task,
        /// Its number.
        signal: u32,
        /// `si_code`, two's complement; 0 (also) where lockdown hides it.
        code: u32,
        /// 1: the kernel sent it (OOM, fault, ^C), not a process.
        from_kernel: u32,
        /// 0 delivered, 1 ignored, 2 already pending, 3 and 4 overflow.
        result: u32,
    }
}

impl Signal {
    /// The target takes no notice of it.
    pub fn is_ignored(&self) -> bool {
        self.result == IGNORED
    }
}
