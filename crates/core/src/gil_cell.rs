//! Interior mutability for state that is only touched with the interpreter lock held.
//!
//! The one `unsafe impl` of this file is what lets Python classes keep plain Rust state.

use std::cell::{RefCell, RefMut};

use pyo3::Python;

/// A `RefCell` that can be reached only with a [`Python`] token.
///
/// A borrow must never be held across a call that can run Python code (which includes dropping the last reference to
/// an object other than an exact `str` or `bytes`, and allocating an object that the collector tracks): that code could
/// come back to the same cell, which panics.
pub(crate) struct GilCell<T>(RefCell<T>);

// SAFETY: the inner cell is reached only through methods that take a `Python` token, which proves that this thread
// holds the interpreter lock; the module declares that it needs that lock (`gil_used`), so two threads never touch the
// cell at the same time. If a borrow were held while the lock is released, the next thread would find the cell borrowed
// (the lock's hand-over orders the two accesses) and panic instead of aliasing. `T: Send` as values move to the thread
// that drops them.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Borrow the value.
    ///
    /// # Panics
    ///
    /// When it is borrowed already, which is a bug of this crate; the panic becomes a Python exception.
    #[inline]
    pub(crate) fn borrow_mut(&self, _py: Python<'_>) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }

    /// Borrow the value for the garbage collector, which holds the lock but has no token; None when it is in use.
    pub(crate) fn try_borrow_in_collector(&self) -> Option<RefMut<'_, T>> {
        self.0.try_borrow_mut().ok()
    }
}
