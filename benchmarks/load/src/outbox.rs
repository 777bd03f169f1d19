//! Bytes that wait for the kernel to take them.

use std::io::{self, Write};

/// A queue of bytes in front of a non-blocking socket.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` the kernel has taken.
    taken: usize,
}

impl Outbox {
    /// A queue that begins with `bytes`.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Whether everything was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what was not taken.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }

    /// Writes `bytes` behind what waits already, and keeps what the kernel does not take.
    ///
    /// # Errors
    ///
    /// When the socket fails.
    pub fn write(&mut self, stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        let taken = write_some(stream, bytes)?;
        self.bytes.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Writes what waits, as far as the kernel takes it.
    ///
    /// # Errors
    ///
    /// When the socket fails.
    pub fn flush(&mut self, stream: &mut impl Write) -> io::Result<()> {
        self.taken += write_some(stream, &self.bytes[self.taken..])?;
        if self.taken == self.bytes.len() {
            self.clear();
        }
        Ok(())
    }
}

/// Writes until the kernel takes no more; returns how many bytes it took.
fn write_some(stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut position = 0;
    while position < bytes.len() {
        match stream.write(&bytes[position..]) {
            Ok(written) => position += written,
            // A socket that is still connecting says one or the other, by system.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                ) =>
            {
                break
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Takes so many bytes and then no more.
    struct Kernel {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Kernel {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= length;
            self.got.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn order_is_kept_when_the_kernel_is_slow() {
        let mut kernel = Kernel {
            room: 2,
            got: Vec::new(),
        };
        let mut outbox = Outbox::default();
        outbox.write(&mut kernel, b"abcd").unwrap();
        outbox.write(&mut kernel, b"ef").unwrap();
        while !outbox.is_empty() {
            kernel.room = 1;
            outbox.flush(&mut kernel).unwrap();
        }
        assert_eq!(kernel.got, b"abcdef");
    }
}
