//! The messages of a reactor that are compressed in its turns, and the order in which they are.
//!
//! Short ones come first, since their receivers expect them soon. Of the long ones a few are under way at a time, each
//! with a compressor of its own, and take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use django_bolt_protocol::deflate::Deflater;

use super::job::{HeldMessage, Job};
use super::shared::SharedDeflaters;
use super::Parameters;
use crate::payload::HeldBytes;

/// Long messages under way; each holds a compressor.
const MAX_RUNNING: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct JobId(u64);

/// A message that is done.
pub(crate) struct Finished {
    pub(super) id: JobId,
    pub(super) message: HeldMessage,
    /// None if the message is to be sent plain.
    pub(super) deflated: Option<Arc<HeldBytes>>,
    /// With context takeover, the connection's compressor.
    pub(super) own: Option<Deflater>,
    /// Tokens of the connections that wait for it.
    pub(crate) receivers: Vec<usize>,
}

/// Address and length of a payload that the job keeps alive, its opcode, and what it is compressed by.
type Key = (usize, usize, u8, Parameters);

#[derive(Default)]
pub(super) struct Jobs {
    jobs: HashMap<JobId, Job>,
    /// Jobs that further receivers of the same object may join.
    shared: HashMap<Key, JobId>,
    // What is in these queues and not in `jobs` was given up.
    short: VecDeque<JobId>,
    long: VecDeque<JobId>,
    running: VecDeque<JobId>,
    last_id: u64,
    slices: u64,
}

impl Jobs {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn slices(&self) -> u64 {
        self.slices
    }

    /// Have a message compressed for a connection, with its own compressor or, without context takeover, a shared one.
    pub(super) fn add(
        &mut self,
        parameters: Parameters,
        message: &HeldMessage,
        own: Option<Deflater>,
        receiver: usize,
    ) -> JobId {
        let key = own.is_none().then(|| key(parameters, message));
        let known = key.as_ref().and_then(|key| self.shared.get(key));
        if let Some((id, job)) = known.and_then(|id| Some((*id, self.jobs.get_mut(id)?))) {
            job.receivers.push(receiver);
            return id;
        }
        self.last_id += 1;
        let id = JobId(self.last_id);
        self.shared.extend(key.map(|key| (key, id)));
        let job = Job::new(parameters, message.clone(), own, receiver);
        let queue = if job.is_short() {
            &mut self.short
        } else {
            &mut self.long
        };
        queue.push_back(id);
        self.jobs.insert(id, job);
        id
    }

    /// A connection waits for it no more.
    pub(super) fn leave(&mut self, id: JobId, receiver: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.receivers.retain(|token| *token != receiver);
        if job.receivers.is_empty() {
            self.remove(id);
        }
    }

    pub(super) fn finish_short(&mut self, shared: &mut SharedDeflaters, until: Instant) -> Option<Finished> {
        if Instant::now() >= until {
            return None;
        }
        loop {
            let id = self.short.pop_front()?;
            if let Some(job) = self.jobs.get_mut(&id) {
                job.run(shared, None);
                return self.finish(id);
            }
        }
    }

    pub(super) fn finish_long(&mut self, shared: &mut SharedDeflaters, until: Instant) -> Option<Finished> {
        while Instant::now() < until {
            let id = self.next_running()?;
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            self.slices += 1;
            if job.run(shared, Some(until)) {
                return self.finish(id);
            }
            self.running.push_back(id);
        }
        None
    }

    /// The long message whose turn it is; it may have been given up.
    fn next_running(&mut self) -> Option<JobId> {
        if self.running.len() < MAX_RUNNING {
            let next = std::iter::from_fn(|| self.long.pop_front()).find(|id| self.jobs.contains_key(id));
            self.running.extend(next);
        }
        self.running.pop_front()
    }

    fn finish(&mut self, id: JobId) -> Option<Finished> {
        let mut job = self.remove(id)?;
        let own = job.own.take();
        let receivers = std::mem::take(&mut job.receivers);
        let (message, deflated) = job.into_result();
        Some(Finished {
            id,
            message,
            deflated,
            own,
            receivers,
        })
    }

    fn remove(&mut self, id: JobId) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        let key = key(job.parameters, &job.message);
        if self.shared.get(&key) == Some(&id) {
            self.shared.remove(&key);
        }
        if self.jobs.is_empty() {
            *self = Self {
                last_id: self.last_id,
                slices: self.slices,
                ..Self::default()
            };
        }
        Some(job)
    }
}

fn key(parameters: Parameters, message: &HeldMessage) -> Key {
    let payload = &*message.payload;
    (
        payload.as_ptr() as usize,
        payload.len(),
        message.opcode as u8,
        parameters,
    )
}
