use std::{cell::RefCell, rc::Rc, time::Duration};

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent};

use super::{Change, Link, Live};
use crate::{
    api,
    error::ApiError,
    json,
    model::{Millis, time::SECOND},
    ui::dom::spawn,
};

/// The server sends something at least every 5 s.
const SILENCE: Millis = 12 * SECOND;
/// A connection that looks open and brings nothing is replaced.
const DEAD: Millis = 25 * SECOND;
/// A browser grants six connections a server: tabs nobody looks at give theirs back.
const HIDDEN: Millis = 60 * SECOND;
const RETRY: [Millis; 4] = [SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND];

/// Holds the subscription until the current owner ends, and looks after it once a second.
pub fn subscribe(live: Live) {
    let watch = Rc::new(RefCell::new(Watch::new(live)));
    watch.borrow_mut().tick();
    let ticking = {
        let watch = watch.clone();
        set_interval_with_handle(move || watch.borrow_mut().tick(), Duration::from_secs(1))
    };
    // on_cleanup wants Send; everything here stays in the browser's one thread.
    let end = StoredValue::new_local((watch, ticking.ok()));
    on_cleanup(move || {
        end.try_with_value(|(watch, ticking)| {
            if let Some(ticking) = ticking {
                ticking.clear();
            }
            watch.borrow_mut().close();
        });
    });
}

struct Watch {
    live: Live,
    source: Option<EventSource>,
    /// Shared with the listeners of the current source.
    heard: Rc<RefCell<Heard>>,
    next_try: Millis,
    failures: usize,
    hidden_since: Option<Millis>,
    /// Asking the server whether the session still exists.
    asking: Rc<RefCell<bool>>,
}

#[derive(Default)]
struct Heard {
    /// None: nothing yet on this source.
    last: Option<Millis>,
    /// The newest on any source, for the operator.
    data_as_of: Option<Millis>,
}

impl Watch {
    fn new(live: Live) -> Self {
        Self {
            live,
            source: None,
            heard: Rc::default(),
            next_try: 0,
            failures: 0,
            hidden_since: None,
            asking: Rc::default(),
        }
    }

    fn tick(&mut self) {
        let now = self.live.clock.read();
        if self.live.link.get_untracked() == Link::SignedOut {
            self.close();
            return;
        }
        let hidden = document().hidden();
        self.hidden_since = if hidden { self.hidden_since.or(Some(now)) } else { None };
        if self.hidden_since.is_some_and(|since| now - since > HIDDEN) {
            self.close();
            self.pause();
            return;
        }
        let Some(source) = &self.source else {
            if now >= self.next_try && !*self.asking.borrow() {
                self.open(now);
            }
            return;
        };
        let silent_for = now - self.heard.borrow().last.unwrap_or(self.next_try);
        match source.ready_state() {
            EventSource::OPEN if silent_for <= SILENCE => {
                self.failures = 0;
                self.live.set_link(Link::Live);
            }
            EventSource::CLOSED => {
                self.close();
                self.retry_later(now);
                self.pause();
                self.ask_for_session();
            }
            _ if silent_for > DEAD => {
                self.close();
                self.retry_later(now);
                self.pause();
            }
            // The first seconds of a page are no outage.
            EventSource::CONNECTING if self.heard.borrow().last.is_none() && silent_for <= 3 * SECOND => {}
            _ => self.pause(),
        }
    }

    fn retry_later(&mut self, now: Millis) {
        self.next_try = now + RETRY[self.failures.min(RETRY.len() - 1)];
        self.failures += 1;
    }

    fn pause(&self) {
        self.live.set_link(Link::Paused { data_as_of: self.heard.borrow().data_as_of });
    }

    fn close(&mut self) {
        if let Some(source) = self.source.take() {
            source.close();
        }
    }

    /// A refused subscription does not say why; a server function does.
    fn ask_for_session(&self) {
        let (live, asking) = (self.live, self.asking.clone());
        *asking.borrow_mut() = true;
        spawn(async move {
            if let Err(ApiError::SignedOut) = api::session().await {
                live.set_link(Link::SignedOut);
            }
            *asking.borrow_mut() = false;
        });
    }

    fn open(&mut self, now: Millis) {
        let Ok(source) = EventSource::new("/events") else {
            self.retry_later(now);
            return;
        };
        self.next_try = now;
        self.heard.borrow_mut().last = None;
        // What may have been missed before this source the server says itself, by a reset.
        self.listen(&source, "open", |live, _| live.set_link(Link::Live));
        self.listen(&source, "ping", |live, data| {
            if let Ok(server_time) = data.parse() {
                live.clock.adjust(server_time);
            }
        });
        self.listen(&source, "reset", |live, _| live.publish(Change::Reset));
        self.listen(&source, "endpoint", |live, data| {
            if let Ok(endpoint) = json::read(data.as_bytes()) {
                live.publish(Change::Endpoint(endpoint));
            }
        });
        self.listen(&source, "command", |live, data| {
            if let Ok(command) = json::read(data.as_bytes()) {
                live.publish(Change::Command(command));
            }
        });
        for event in ["progress", "evidence"] {
            self.listen(&source, event, |live, data| {
                if let Ok(progress) = json::read(data.as_bytes()) {
                    live.publish(Change::Progress(progress));
                }
            });
        }
        self.source = Some(source);
    }

    fn listen(&self, source: &EventSource, event: &str, handle: impl Fn(Live, &str) + 'static) {
        let (live, heard) = (self.live, self.heard.clone());
        let listener = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            let data = event.dyn_ref::<MessageEvent>().and_then(|message| message.data().as_string());
            handle(live, data.as_deref().unwrap_or_default());
            let now = live.clock.read();
            *heard.borrow_mut() = Heard { last: Some(now), data_as_of: Some(now) };
        });
        // Freed by the browser together with the source.
        let listener = listener.into_js_value();
        let _ = source.add_event_listener_with_callback(event, listener.unchecked_ref());
    }
}
