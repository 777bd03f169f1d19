//! Which connections are subscribed to which topics.
//!
//! The members of a topic are sorted by connection id: new ones nearly always come last, removal is a search and a
//! move of a few kilobytes, and the members of several topics merge without a set.
//!
//! Knows nothing of messages. What it removes it hands out, since dropping the last reference to a connection or a
//! callback runs Python code, which must not happen while this is borrowed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pyo3::prelude::*;
use slab::Slab;

use crate::connection::Connection;

/// What ends a name that is a pattern.
const WILDCARD: char = '*';
/// What the names of the library's own topics begin with; the pattern for everything leaves them out.
const RESERVED: char = '$';

/// A topic, or a pattern, with at least one member.
pub(super) struct Topic {
    name: Arc<str>,
    /// Sorted by connection id.
    members: Vec<Py<Connection>>,
    /// Filters and transformations by connection id, of the few subscriptions that have one.
    #[expect(
        clippy::box_collection,
        reason = "most topics have none, and an empty map takes 48 bytes"
    )]
    callbacks: Option<Box<HashMap<u64, Py<PyAny>>>>,
}

impl Topic {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            members: Vec::new(),
            callbacks: None,
        }
    }

    #[inline]
    pub(super) fn members(&self) -> &[Py<Connection>] {
        &self.members
    }

    #[inline]
    pub(super) fn has_callbacks(&self) -> bool {
        self.callbacks.is_some()
    }

    pub(super) fn callback(&self, connection: u64) -> Option<&Py<PyAny>> {
        self.callbacks.as_ref()?.get(&connection)
    }

    fn position(&self, connection: u64) -> Result<usize, usize> {
        self.members
            .binary_search_by_key(&connection, |member| member.get().id())
    }

    fn set_callback(&mut self, connection: u64, callback: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        if let Some(callback) = callback {
            return self
                .callbacks
                .get_or_insert_default()
                .insert(connection, callback);
        }
        let callbacks = self.callbacks.as_mut()?;
        let before = callbacks.remove(&connection);
        if callbacks.is_empty() {
            self.callbacks = None;
        }
        before
    }

    fn remove(&mut self, connection: u64) -> Option<Py<Connection>> {
        let position = self.position(connection).ok()?;
        let member = self.members.remove(position);
        if self.members.capacity() > 4 * self.members.len() {
            // What a crowd needed is not kept for the few that stay.
            self.members.shrink_to(2 * self.members.len());
        }
        Some(member)
    }
}

/// What a subscription changed.
pub(super) struct Added {
    /// The topic had no member before.
    pub(super) is_first: bool,
    /// The connection was not subscribed to it before.
    pub(super) is_new: bool,
}

/// What was taken out, to be dropped once nothing is borrowed.
#[derive(Default)]
pub(super) struct Removed {
    members: Vec<Py<Connection>>,
    callbacks: Vec<Py<PyAny>>,
    /// Topics that lost their last member.
    pub(super) emptied: Vec<Arc<str>>,
}

#[derive(Default)]
pub(super) struct Topics {
    topics: Slab<Topic>,
    by_name: HashMap<Arc<str>, usize>,
    /// How many patterns there are of each length, in bytes with the wildcard.
    pattern_lengths: BTreeMap<usize, usize>,
    /// The keys of the topics of each connection that has any.
    by_connection: HashMap<u64, Vec<usize>>,
}

impl Topics {
    /// Subscribe a connection; subscribing again replaces the callback.
    pub(super) fn add(
        &mut self,
        name: &str,
        connection: &Bound<'_, Connection>,
        callback: Option<Py<PyAny>>,
        removed: &mut Removed,
    ) -> Added {
        let id = connection.get().id();
        let (key, is_first) = match self.by_name.get(name) {
            Some(key) => (*key, false),
            None => (self.insert(name), true),
        };
        let topic = &mut self.topics[key];
        let position = topic.position(id);
        if let Err(position) = position {
            topic.members.insert(position, connection.clone().unbind());
            self.by_connection.entry(id).or_default().push(key);
        }
        removed.callbacks.extend(topic.set_callback(id, callback));
        Added {
            is_first,
            is_new: position.is_err(),
        }
    }

    fn insert(&mut self, name: &str) -> usize {
        let name: Arc<str> = name.into();
        if name.ends_with(WILDCARD) {
            *self.pattern_lengths.entry(name.len()).or_default() += 1;
        }
        let key = self.topics.insert(Topic::new(name.clone()));
        self.by_name.insert(name, key);
        key
    }

    /// End one subscription, if there is one.
    pub(super) fn remove(&mut self, name: &str, connection: u64, removed: &mut Removed) {
        let Some(&key) = self.by_name.get(name) else {
            return;
        };
        if let Some(keys) = self.by_connection.get_mut(&connection) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
        self.remove_member(key, connection, removed);
    }

    /// End all subscriptions of a connection.
    pub(super) fn remove_connection(&mut self, connection: u64, removed: &mut Removed) {
        for key in self.by_connection.remove(&connection).unwrap_or_default() {
            self.remove_member(key, connection, removed);
        }
    }

    fn remove_member(&mut self, key: usize, connection: u64, removed: &mut Removed) {
        let topic = &mut self.topics[key];
        removed.callbacks.extend(topic.set_callback(connection, None));
        removed.members.extend(topic.remove(connection));
        if topic.members.is_empty() {
            removed.emptied.push(self.remove_topic(key));
        }
    }

    fn remove_topic(&mut self, key: usize) -> Arc<str> {
        let name = self.topics.remove(key).name;
        self.by_name.remove(&name);
        if name.ends_with(WILDCARD) {
            let count = self.pattern_lengths.entry(name.len()).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.pattern_lengths.remove(&name.len());
            }
        }
        name
    }

    /// The topic of that very name.
    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name).map(|key| &self.topics[*key])
    }

    /// The patterns that a name matches. The time depends on how many different lengths of patterns there are, not on
    /// how many patterns.
    pub(super) fn patterns<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Topic> {
        let shortest = 1 + usize::from(name.starts_with(RESERVED));
        let lengths = self.pattern_lengths.range(shortest..=name.len() + 1);
        lengths.filter_map(move |(len, _)| {
            let prefix = name.get(..len - 1)?;
            self.get(&format!("{prefix}{WILDCARD}"))
        })
    }

    /// Whether any pattern exists.
    #[inline]
    pub(super) fn has_patterns(&self) -> bool {
        !self.pattern_lengths.is_empty()
    }

    /// Names of all topics and patterns.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().map(|name| name.to_string()).collect()
    }

    /// Names of the topics and patterns of one connection, in the order of subscribing.
    pub(super) fn names_of(&self, connection: u64) -> Vec<String> {
        let keys = self.by_connection.get(&connection).map_or(&[][..], Vec::as_slice);
        keys.iter()
            .map(|key| self.topics[*key].name.to_string())
            .collect()
    }

    /// How many topics and patterns a connection has, without the library's own.
    pub(super) fn count_of(&self, connection: u64) -> usize {
        let keys = self.by_connection.get(&connection).map_or(&[][..], Vec::as_slice);
        keys.iter()
            .filter(|key| !self.topics[**key].name.starts_with(RESERVED))
            .count()
    }

    /// Everything held, for the garbage collector.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[Py<Connection>], impl Iterator<Item = &Py<PyAny>>)> {
        self.topics.iter().map(|(_, topic)| {
            let callbacks = topic.callbacks.iter().flat_map(|callbacks| callbacks.values());
            (topic.members(), callbacks)
        })
    }
}
