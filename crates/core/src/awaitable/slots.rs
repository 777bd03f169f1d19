//! The fast type slots of [`Awaitable`] and [`MessageIterator`], and the few calls of the C API that PyO3 does not wrap.
//!
//! PyO3's `__next__` can return a value only through a StopIteration that it makes; `am_send` hands it over as it is.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{ffi, Borrowed, PyTypeInfo};

use super::{Awaitable, MessageIterator};
use crate::errors;

/// The awaitable of everything that is done already; null until there is one. Only compared with: it is never freed, so
/// no other object comes to its address, and stepping it needs no look at its state.
static COMPLETED: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// Step this awaitable, which lives for ever, to None without looking at it.
pub(super) fn set_completed(awaitable: &Py<Awaitable>) {
    COMPLETED.store(awaitable.as_ptr(), Ordering::Relaxed);
}

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

/// `am_await` for [`Awaitable`], which is its own iterator: runs twice for each message, so it does no more than that.
unsafe extern "C" fn am_await(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls slots with its lock held and a valid `self`, of which this is a new reference.
    unsafe { ffi::Py_NewRef(slf) }
}

/// `am_anext` for [`MessageIterator`]: hands the last awaitable out again, and does not enter PyO3 for that.
unsafe extern "C" fn am_anext(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let recycle = || {
        // SAFETY: the interpreter calls slots with its lock held and a valid `self` of this very type. No reference is
        // given up here, which is what PyO3 keeps account of attached threads for.
        let (py, iterator) = unsafe {
            let py = Python::assume_attached();
            (
                py,
                Borrowed::from_ptr(py, slf).cast_unchecked::<MessageIterator>(),
            )
        };
        iterator.get().recycled(py).map(Bound::into_ptr)
    };
    let next = || {
        Python::attach(|py| {
            // SAFETY: as above.
            let iterator = unsafe { Borrowed::from_ptr(py, slf).cast_unchecked::<MessageIterator>() };
            match iterator.get().fresh(py) {
                Ok(awaitable) => awaitable.into_ptr(),
                Err(error) => {
                    error.restore(py);
                    ptr::null_mut()
                }
            }
        })
    };
    let made = catch_unwind(AssertUnwindSafe(|| recycle().unwrap_or_else(next)));
    made.unwrap_or_else(|_| {
        Python::attach(|py| errors::panicked().restore(py));
        ptr::null_mut()
    })
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
        if slf == COMPLETED.load(Ordering::Relaxed) {
            *result = ffi::Py_NewRef(ffi::Py_None());
            return ffi::PySendResult::PYGEN_RETURN;
        }
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
        if slf == COMPLETED.load(Ordering::Relaxed) {
            return ptr::null_mut(); // no exception is set: the result is None
        }
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

/// Put the fast slots into the types that PyO3 made.
pub(crate) fn install_slots(py: Python<'_>) {
    // SAFETY: the functions have the signatures of their slots, and treat `self` as what it is, both types being final.
    unsafe {
        install(&Awaitable::type_object(py), |type_object, methods| {
            methods.am_await = Some(am_await);
            methods.am_send = Some(am_send);
            type_object.tp_iternext = Some(iternext);
        });
        install(&MessageIterator::type_object(py), |_, methods| {
            methods.am_anext = Some(am_anext)
        });
    }
}

/// Change slots of a type.
///
/// # Safety
///
/// The slots that `change` sets do what the interpreter expects of them; no instance exists yet.
unsafe fn install(
    class: &Bound<'_, PyType>,
    change: impl FnOnce(&mut ffi::PyTypeObject, &mut ffi::PyAsyncMethods),
) {
    let type_object = class.as_type_ptr();
    // SAFETY: PyO3 makes heap types, so `type_object` leads a `PyHeapTypeObject`, whose `as_async` is what
    // `tp_as_async` points to (PyO3 fills `am_await` or `am_anext`, so it is set); the two do not overlap as far as
    // `PyTypeObject` reaches. This runs while the module is made, with the lock held, so that nobody else looks at them.
    unsafe {
        let methods = (*type_object).tp_as_async;
        if methods.is_null() {
            return; // PyO3's own slots do the same, slower
        }
        change(&mut *type_object, &mut *methods);
        ffi::PyType_Modified(type_object);
    }
}
