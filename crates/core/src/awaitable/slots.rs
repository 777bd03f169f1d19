//! The fast type slots of [`Awaitable`] and the few calls of the C API that PyO3 does not wrap.
//!
//! PyO3's `__next__` can return a value only through a StopIteration that it makes; `am_send` hands it over as it is.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

use pyo3::prelude::*;
use pyo3::{ffi, PyTypeInfo};

use super::Awaitable;
use crate::errors;

/// Whether the caller's reference to the awaitable, which it keeps elsewhere, is the only one.
#[inline]
pub(super) fn is_unshared(awaitable: &Bound<'_, Awaitable>) -> bool {
    // SAFETY: `awaitable` is a valid object; reading its reference count has no effect.
    unsafe { ffi::Py_REFCNT(awaitable.as_ptr()) == 1 }
}

/// Call `callback(argument)` inside `context`, as a loop's handle would.
pub(super) fn run_in_context(
    callback: &Bound<'_, PyAny>,
    context: Option<&Bound<'_, PyAny>>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let Some(context) = context else {
        return callback.call1((argument,)).map(drop);
    };
    let py = callback.py();
    // SAFETY: `context` is an owned reference to the `Context` that asyncio passed to `add_done_callback`;
    // `PyContext_Enter` itself raises TypeError for any other object.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let result = callback.call1((argument,)).map(drop);
    // SAFETY: entered just above on this thread; asyncio leaves the contexts that it enters in turn.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    result
}

/// `am_send` for [`Awaitable`]: returns a value without the StopIteration that PyO3's `__next__` needs.
unsafe extern "C" fn am_send(
    slf: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the interpreter calls slots with its lock held, a valid `self` of this very type, and a place for the
    // result.
    unsafe {
        match step_slot(slf) {
            Stepped::Value(value) => {
                *result = value;
                ffi::PySendResult::PYGEN_RETURN
            }
            Stepped::Suspended => {
                ffi::Py_INCREF(slf);
                *result = slf;
                ffi::PySendResult::PYGEN_NEXT
            }
            Stepped::Raised => {
                *result = ptr::null_mut();
                ffi::PySendResult::PYGEN_ERROR
            }
        }
    }
}

/// `tp_iternext` for [`Awaitable`], which Python 3.12 and later use in `await`: a result of None needs no exception.
unsafe extern "C" fn iternext(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as for `am_send`.
    unsafe {
        match step_slot(slf) {
            Stepped::Suspended => {
                ffi::Py_INCREF(slf);
                slf
            }
            Stepped::Value(value) => {
                if value != ffi::Py_None() {
                    set_stop_iteration(value);
                }
                ffi::Py_DECREF(value);
                ptr::null_mut()
            }
            Stepped::Raised => ptr::null_mut(),
        }
    }
}

/// Raise StopIteration(value).
///
/// # Safety
///
/// `value` is a valid object; the interpreter lock is held.
unsafe fn set_stop_iteration(value: *mut ffi::PyObject) {
    // SAFETY: the caller's promise; the exception is built first, since setting it by class would spread a tuple and
    // take an exception for the instance itself.
    unsafe {
        let exception = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, value);
        if !exception.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, exception);
            ffi::Py_DECREF(exception);
        }
    }
}

enum Stepped {
    /// An owned reference.
    Value(*mut ffi::PyObject),
    Suspended,
    /// The Python error indicator is set.
    Raised,
}

/// Step the awaitable behind a slot's `self`; a panic becomes a Python exception.
///
/// # Safety
///
/// `slf` is a valid [`Awaitable`]; the interpreter lock is held.
unsafe fn step_slot(slf: *mut ffi::PyObject) -> Stepped {
    Python::attach(|py| {
        let step = || {
            // SAFETY: the caller's promise on the pointer and its type.
            let slf = unsafe { Bound::from_borrowed_ptr(py, slf).cast_into_unchecked::<Awaitable>() };
            Awaitable::step(&slf)
        };
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(Some(value))) => Stepped::Value(value.into_ptr()),
            Ok(Ok(None)) => Stepped::Suspended,
            Ok(Err(error)) => {
                error.restore(py);
                Stepped::Raised
            }
            Err(_) => {
                errors::panicked().restore(py);
                Stepped::Raised
            }
        }
    })
}

/// Put the fast slots into the type that PyO3 made.
pub(crate) fn install_slots(py: Python<'_>) {
    let awaitable = Awaitable::type_object(py);
    let type_object = awaitable.as_type_ptr();
    // SAFETY: PyO3 makes heap types, so `type_object` leads a `PyHeapTypeObject`, whose `as_async` is what
    // `tp_as_async` points to (PyO3 fills `am_await`, so it is set). This runs while the module is made, before any
    // instance exists and with the lock held. The functions have the signatures of their slots and treat `self` as the
    // `Awaitable` that it is, the type being final.
    unsafe {
        let methods = (*type_object).tp_as_async;
        if methods.is_null() {
            return; // PyO3's own `__next__` does the same, slower
        }
        (*methods).am_send = Some(am_send);
        (*type_object).tp_iternext = Some(iternext);
        ffi::PyType_Modified(type_object);
    }
}
