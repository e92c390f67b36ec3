use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent};

use super::{Change, Link, Live, show};
use crate::{
    api,
    error::ApiError,
    json,
    model::{Millis, time::SECOND},
    ui::dom::{every, spawn},
};

/// The server sends something at least every 5 s.
const SILENCE: Millis = 12 * SECOND;
/// A connection that looks open and brings nothing is replaced.
const DEAD: Millis = 25 * SECOND;
/// A tab that nobody looks at for so long costs nothing.
const HIDDEN: Duration = Duration::from_secs(10);
const RETRY: [Millis; 4] = [SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND];
/// Another page may have begun to load a moment before its subscription: the changes of the last seconds come again.
const OVERLAP_TICKS: usize = 2;

type Shared = Rc<RefCell<Watch>>;

thread_local! {
    static CURRENT: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Holds the subscription until the current owner ends, and looks after it once a second while the tab is seen.
pub fn subscribe(live: Live) {
    let path = window().location().pathname().unwrap_or_default();
    let watch = Rc::new(RefCell::new(Watch::new(live, show::of_page(&path))));
    CURRENT.set(Some(watch.clone()));
    if !document().hidden() {
        watch.borrow_mut().tick();
    }
    every(Duration::from_secs(1), {
        let watch = watch.clone();
        move || watch.borrow_mut().tick()
    });
    let hiding = StoredValue::new(None::<TimeoutHandle>);
    let listener = window_event_listener_untyped("visibilitychange", move |_| {
        if let Some(earlier) = hiding.try_get_value().flatten() {
            earlier.clear();
        }
        let watch = watch.clone();
        let hide = move || {
            if document().hidden() {
                watch.borrow_mut().rest();
            }
        };
        hiding.try_set_value(set_timeout_with_handle(hide, HIDDEN).ok());
    });
    on_cleanup(move || {
        listener.remove();
        if let Some(watch) = CURRENT.take() {
            watch.borrow_mut().close();
        }
    });
}

/// Subscribes to something else, if it is not the same.
pub fn look_at(show: String) {
    if let Some(watch) = CURRENT.with_borrow(Clone::clone) {
        watch.borrow_mut().look_at(show);
    }
}

struct Watch {
    live: Live,
    /// What is subscribed to.
    show: String,
    source: Option<EventSource>,
    /// Shared with the listeners of the current source.
    heard: Rc<RefCell<Heard>>,
    next_try: Millis,
    failures: usize,
    /// Asking the server whether the session still exists.
    asking: Rc<RefCell<bool>>,
}

#[derive(Default)]
struct Heard {
    /// None: nothing yet on this source.
    last: Option<Millis>,
    /// The newest on any source, for the operator.
    data_as_of: Option<Millis>,
    /// The place in the sequence of events, now and at the last ticks.
    id: String,
    earlier: VecDeque<String>,
}

impl Watch {
    fn new(live: Live, show: String) -> Self {
        Self {
            live,
            show,
            source: None,
            heard: Rc::default(),
            next_try: 0,
            failures: 0,
            asking: Rc::default(),
        }
    }

    fn look_at(&mut self, show: String) {
        if self.show == show {
            return;
        }
        self.show = show;
        self.heard.borrow_mut().go_back();
        if self.source.is_some() {
            self.close();
            self.open(self.live.clock.read());
        }
    }

    /// Until somebody looks again, which is no failure.
    fn rest(&mut self) {
        self.close();
        (self.next_try, self.failures) = (0, 0);
        if self.live.link.get_untracked() != Link::SignedOut {
            self.live.set_link(Link::Connecting);
        }
    }

    fn tick(&mut self) {
        let now = self.live.clock.read();
        if self.live.link.get_untracked() == Link::SignedOut {
            self.close();
            return;
        }
        self.heard.borrow_mut().remember();
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
        let mut address = format!("/events?show={}", self.show);
        let after = self.heard.borrow().id.clone();
        if !after.is_empty() {
            address.push_str("&after=");
            address.push_str(&after);
        }
        let Ok(source) = EventSource::new(&address) else {
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
        self.listen(&source, "reset", |live, _| live.hear(Change::Reset));
        self.listen(&source, "endpoint", |live, data| {
            if let Ok(endpoint) = json::read(data.as_bytes()) {
                live.hear(Change::Endpoint(endpoint));
            }
        });
        self.listen(&source, "command", |live, data| {
            if let Ok(command) = json::read(data.as_bytes()) {
                live.hear(Change::Command(command));
            }
        });
        for event in ["progress", "evidence"] {
            self.listen(&source, event, |live, data| {
                if let Ok(progress) = json::read(data.as_bytes()) {
                    live.hear(Change::Progress(progress));
                }
            });
        }
        self.source = Some(source);
    }

    fn listen(&self, source: &EventSource, event: &str, handle: impl Fn(Live, &str) + 'static) {
        let (live, heard) = (self.live, self.heard.clone());
        let listener = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            let message = event.dyn_ref::<MessageEvent>();
            let data = message.and_then(|message| message.data().as_string());
            handle(live, data.as_deref().unwrap_or_default());
            heard.borrow_mut().note(live.clock.read(), message.map(MessageEvent::last_event_id));
        });
        // Freed by the browser together with the source.
        let listener = listener.into_js_value();
        let _ = source.add_event_listener_with_callback(event, listener.unchecked_ref());
    }
}

impl Heard {
    fn note(&mut self, now: Millis, id: Option<String>) {
        (self.last, self.data_as_of) = (Some(now), Some(now));
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            if self.earlier.is_empty() {
                self.earlier.push_back(id.clone());
            }
            self.id = id;
        }
    }

    /// Once a second.
    fn remember(&mut self) {
        if !self.id.is_empty() {
            self.earlier.push_back(self.id.clone());
        }
        while self.earlier.len() > OVERLAP_TICKS {
            self.earlier.pop_front();
        }
    }

    fn go_back(&mut self) {
        if let Some(earlier) = self.earlier.front() {
            self.id.clone_from(earlier);
        }
    }
}
