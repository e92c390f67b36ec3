use std::collections::VecDeque;

use serde_json::Value;

use crate::http::{Follow, HttpError};

/// One event of `/events`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `command`, `endpoint`, `ping` or `reset`.
    pub name: String,
    pub data: Value,
}

/// The live stream of an operator's page.
pub struct Events {
    follow: Follow,
    parser: Parser,
}

impl Events {
    pub(super) fn new(follow: Follow) -> Self {
        Self { follow, parser: Parser::default() }
    }

    /// `None` when the server ends the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, HttpError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let Some(piece) = self.follow.next().await? else { return Ok(None) };
            self.parser.feed(&piece)?;
        }
    }
}

const LONGEST_EVENT_BYTES: usize = 1024 * 1024;

/// Server-sent events from pieces that may end anywhere.
#[derive(Default)]
struct Parser {
    rest: Vec<u8>,
    name: String,
    data: String,
    ready: VecDeque<Event>,
}

impl Parser {
    fn feed(&mut self, piece: &[u8]) -> Result<(), HttpError> {
        self.rest.extend_from_slice(piece);
        let mut begin = 0;
        while let Some(length) = self.rest[begin..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.rest[begin..begin + length]).into_owned();
            begin += length + 1;
            self.line(line.trim_end_matches('\r'));
        }
        self.rest.drain(..begin);
        if self.rest.len() + self.data.len() > LONGEST_EVENT_BYTES {
            return Err(HttpError::Malformed("an event is too long"));
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("event:") {
            name.trim_start().clone_into(&mut self.name);
        } else if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.trim_start());
        } else if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            if let Ok(data) = serde_json::from_str(&data) {
                self.ready.push_back(Event { name, data });
            }
        }
    }

    fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_pieces_end() {
        let text = "event: command\nid: 4\ndata: {\"id\":1,\"state\":\"executed\"}\n\n: comment\n\nevent: ping\ndata: 17\n\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            for piece in text.as_bytes().chunks(size) {
                parser.feed(piece).unwrap();
            }
            let first = parser.next().unwrap();
            assert_eq!((first.name.as_str(), first.data["state"].as_str()), ("command", Some("executed")));
            assert_eq!(parser.next().unwrap().name, "ping");
            assert_eq!(parser.next(), None);
        }
    }
}
