//! Payloads between Python objects and frames, by reference where that is sound.

use std::ops::Deref;
use std::slice;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// From this length on a payload is shared with the outbound buffer instead of copied into it, in bytes. Below it the
/// copy is cheaper than the bookkeeping.
pub(crate) const SHARE_FROM: usize = 16 * 1024;

/// Bytes to be sent, borrowed from the object that the caller passed or copied out of it.
pub(crate) enum Payload<'a, 'py> {
    /// The content of an exact `str` or `bytes`.
    Immutable {
        bytes: &'a [u8],
        owner: &'a Bound<'py, PyAny>,
    },
    /// The content of anything else.
    Copied(Vec<u8>),
}

impl<'a, 'py> Payload<'a, 'py> {
    /// Borrow the UTF-8 of a `str`.
    ///
    /// # Errors
    ///
    /// UnicodeEncodeError for lone surrogates.
    #[inline]
    pub(crate) fn from_text(text: &'a Bound<'py, PyString>) -> PyResult<Self> {
        let bytes = text.to_str()?.as_bytes();
        if text.is_exact_instance_of::<PyString>() {
            return Ok(Self::Immutable {
                bytes,
                owner: text.as_any(),
            });
        }
        Ok(Self::Copied(bytes.to_vec()))
    }

    /// Borrow the content of `bytes`, or copy that of another bytes-like object.
    ///
    /// # Errors
    ///
    /// TypeError for anything else.
    #[inline]
    pub(crate) fn from_bytes_like(data: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        if data.is_exact_instance_of::<PyBytes>() {
            let bytes = data.cast::<PyBytes>()?.as_bytes();
            return Ok(Self::Immutable { bytes, owner: data });
        }
        let buffer = PyBuffer::<u8>::get(data).map_err(|_| {
            let name = data
                .get_type()
                .name()
                .map_or_else(|_| "?".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!(
                "a binary message must be bytes, bytearray or a memoryview of bytes, not {name}"
            ))
        })?;
        Ok(Self::Copied(buffer.to_vec(data.py())?))
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Immutable { bytes, .. } => bytes,
            Self::Copied(bytes) => bytes,
        }
    }

    /// The object that holds the payload, if it cannot change.
    #[inline]
    pub(crate) fn owner(&self) -> Option<&Bound<'py, PyAny>> {
        match self {
            Self::Immutable { owner, .. } => Some(owner),
            Self::Copied(_) => None,
        }
    }

    /// The payload as a reference that outlives the call, if sharing it is worth while.
    #[inline]
    pub(crate) fn share(&self) -> Option<SharedBytes> {
        match self {
            Self::Immutable { bytes, owner } if bytes.len() >= SHARE_FROM => {
                Some(SharedBytes::new(bytes, owner))
            }
            _ => None,
        }
    }

    /// The payload for later; only what can still change was copied.
    pub(crate) fn hold(&self) -> HeldBytes {
        match self {
            Self::Immutable { bytes, owner } => HeldBytes::Object(SharedBytes::new(bytes, owner)),
            Self::Copied(bytes) => HeldBytes::Own(bytes.clone()),
        }
    }
}

/// Bytes that outlive the call which brought them.
pub(crate) enum HeldBytes {
    Object(SharedBytes),
    Own(Vec<u8>),
}

impl Deref for HeldBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Object(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

/// The content of a `str` or `bytes` object, kept alive by a reference to it.
pub(crate) struct SharedBytes {
    start: *const u8,
    len: usize,
    _owner: Py<PyAny>,
}

// SAFETY: the pointer leads into memory that the owner keeps alive and that nobody writes to (see `deref`), so it may
// be read from any thread; the owner itself is `Send` and `Sync`.
unsafe impl Send for SharedBytes {}

// SAFETY: as for `Send`: all that a shared reference allows is reading.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    fn new(bytes: &[u8], owner: &Bound<'_, PyAny>) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len(),
            _owner: owner.clone().unbind(),
        }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `len` come from a slice of the owner's own storage (`PyBytes::as_bytes`, or the UTF-8 that
        // `PyUnicode_AsUTF8AndSize` keeps in the object). Both types are exact `str` or `bytes`, hence immutable, and
        // their storage neither moves nor is freed while `_owner` holds a reference.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }
}
