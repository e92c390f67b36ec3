use serde::{Deserialize, Serialize};

use super::Millis;

/// By which ways the server reached an endpoint since it started.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Channels {
    /// It holds a stream since then.
    pub stream_since: Option<Millis>,
    pub stream_lost_at: Option<Millis>,
    pub polled_at: Option<Millis>,
    /// None: the agent does not take calls.
    pub direct: Option<Direct>,
}

/// The server calls the agent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Direct {
    pub address: String,
    pub worked_at: Option<Millis>,
    /// The last call, if that failed.
    pub failed_at: Option<Millis>,
    pub problem: Option<String>,
}

/// One line of the panel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Channel {
    pub name: &'static str,
    pub health: Health,
    pub words: &'static str,
    /// What the words are about.
    pub at: Option<Millis>,
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    Works,
    Unused,
    Fails,
}

impl Channels {
    /// Fastest first. `live`: the endpoint takes commands right now, in whatever way.
    #[must_use]
    pub fn lines(&self, live: bool) -> [Channel; 3] {
        [self.stream(), self.direct(), self.polling(live)]
    }

    fn stream(&self) -> Channel {
        let (health, words, at) = match (self.stream_since, self.stream_lost_at) {
            (Some(since), _) => (Health::Works, "open since", Some(since)),
            (None, Some(lost)) => (Health::Fails, "lost", Some(lost)),
            (None, None) => (Health::Unused, "not seen since the server started", None),
        };
        Channel { name: "Stream", health, words, at, detail: None }
    }

    fn direct(&self) -> Channel {
        let Some(direct) = &self.direct else {
            return Channel {
                name: "Direct",
                health: Health::Unused,
                words: "not offered by the agent",
                at: None,
                detail: None,
            };
        };
        let (health, words, at) = match (direct.failed_at, direct.worked_at) {
            (Some(failed), _) => (Health::Fails, "last call failed", Some(failed)),
            (None, Some(worked)) => (Health::Works, "last call worked", Some(worked)),
            (None, None) => (Health::Unused, "offered, not called yet", None),
        };
        let detail = match &direct.problem {
            Some(problem) => format!("{}: {problem}", direct.address),
            None => direct.address.clone(),
        };
        Channel { name: "Direct", health, words, at, detail: Some(detail) }
    }

    fn polling(&self, live: bool) -> Channel {
        let health = match (self.polled_at, self.stream_since) {
            (Some(_), None) if live => Health::Works,
            (Some(_), None) => Health::Fails,
            _ => Health::Unused,
        };
        let words = match (self.polled_at, self.stream_since) {
            (Some(_), _) => "last poll",
            (None, Some(_)) => "not needed while the stream is open",
            (None, None) => "not seen since the server started",
        };
        Channel { name: "Polling", health, words, at: self.polled_at, detail: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(channels: &Channels) -> [(Health, &'static str); 3] {
        channels.lines(true).map(|line| (line.health, line.words))
    }

    #[test]
    fn an_open_stream_makes_polls_unneeded() {
        let channels = Channels { stream_since: Some(1), ..Channels::default() };
        assert_eq!(
            words(&channels),
            [
                (Health::Works, "open since"),
                (Health::Unused, "not offered by the agent"),
                (Health::Unused, "not needed while the stream is open"),
            ]
        );
    }

    #[test]
    fn a_lost_stream_and_old_polls_are_said() {
        let lost = Channels {
            stream_lost_at: Some(50_000),
            polled_at: Some(90_000),
            direct: Some(Direct {
                address: "10.77.0.11:8082".into(),
                worked_at: Some(2),
                failed_at: Some(3),
                problem: Some("no answer within 5 s".into()),
            }),
            ..Channels::default()
        };
        let [stream, direct, polling] = lost.lines(true);
        assert_eq!((stream.health, stream.words), (Health::Fails, "lost"));
        assert_eq!(direct.health, Health::Fails);
        assert_eq!(direct.detail.as_deref(), Some("10.77.0.11:8082: no answer within 5 s"));
        assert_eq!((polling.health, polling.at), (Health::Works, Some(90_000)));
        assert_eq!(lost.lines(false)[2].health, Health::Fails);
    }
}
