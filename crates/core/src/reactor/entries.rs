//! What the poller's tokens stand for.

use std::net::SocketAddr;

use pyo3::prelude::*;
use slab::Slab;
use socket2::Socket;

use crate::connection::Connection;
use crate::timers::Deadline;

const GENERATION_SHIFT: u32 = 32;
const INDEX_MASK: usize = (1 << GENERATION_SHIFT) - 1;

/// A socket that listens.
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    /// A timer will have us accept again; until then there is nothing to try.
    pub(crate) has_timer: bool,
    /// The lack of descriptors was reported, and has not ended.
    pub(crate) is_short_reported: bool,
}

/// A connection whose request head has not come whole.
pub(crate) struct Pending {
    pub(crate) socket: Socket,
    pub(crate) peer: Option<SocketAddr>,
    /// Came over TLS, which ends before us.
    pub(crate) is_secure: bool,
    pub(crate) received: Vec<u8>,
    /// The peer has ended its side of TCP.
    pub(crate) is_shut: bool,
    pub(crate) deadline: Deadline,
}

/// A connection that got its last answer; what still comes is thrown away until the peer's end, since closing with
/// bytes unread would reset the connection and could destroy the answer on its way.
pub(crate) struct Lingering {
    pub(crate) socket: Socket,
    pub(crate) deadline: Deadline,
}

pub(crate) enum Entry {
    Listener(Listener),
    Pending(Pending),
    Lingering(Lingering),
    Live(Py<Connection>),
}

struct Slot {
    generation: usize,
    entry: Entry,
}

/// Entries by token. A token holds a generation besides the index, so that a late event or timer never meets the
/// next owner of a slot.
#[derive(Default)]
pub(crate) struct Entries {
    slots: Slab<Slot>,
    generation: usize,
    live: usize,
    pending: usize,
}

impl Entries {
    /// Token that the next `insert` will use.
    pub(crate) fn next_token(&self) -> usize {
        self.slots.vacant_key() | (self.generation << GENERATION_SHIFT)
    }

    pub(crate) fn insert(&mut self, entry: Entry) -> usize {
        let token = self.next_token();
        self.count(&entry, 1);
        self.slots.insert(Slot {
            generation: self.generation,
            entry,
        });
        self.generation = (self.generation + 1) & INDEX_MASK;
        token
    }

    pub(crate) fn get_mut(&mut self, token: usize) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(token & INDEX_MASK)?;
        (slot.generation == token >> GENERATION_SHIFT).then_some(&mut slot.entry)
    }

    /// Put another entry in the place of one, under the same token.
    pub(crate) fn replace(&mut self, token: usize, entry: Entry) -> Option<Entry> {
        self.count(&entry, 1);
        let place = self.get_mut(token)?;
        let before = std::mem::replace(place, entry);
        self.count(&before, -1);
        Some(before)
    }

    pub(crate) fn remove(&mut self, token: usize) -> Option<Entry> {
        self.get_mut(token)?;
        let entry = self.slots.remove(token & INDEX_MASK).entry;
        self.count(&entry, -1);
        Some(entry)
    }

    /// WebSockets, from their opening handshake to their end.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Connections whose head is awaited, and those that were refused and have not gone.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    pub(crate) fn tokens(&self) -> Vec<usize> {
        self.slots
            .iter()
            .map(|(index, slot)| index | (slot.generation << GENERATION_SHIFT))
            .collect()
    }

    fn count(&mut self, entry: &Entry, by: isize) {
        let counter = match entry {
            Entry::Live(_) => &mut self.live,
            Entry::Pending(_) | Entry::Lingering(_) => &mut self.pending,
            Entry::Listener(_) => return,
        };
        *counter = counter.saturating_add_signed(by);
    }
}
