//! The page's clock: the server's time in the browser, ticking once a second, and the zone that times are shown in. On the
//! server and until the page is hydrated there is neither, so that both render the same HTML.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::{
    model::Millis,
    ui::dom::{effect, every},
};

#[derive(Clone, Copy)]
pub struct Clock {
    now: RwSignal<Option<Millis>>,
    /// The server's time minus the browser's.
    offset: StoredValue<Millis>,
    /// None: nobody chose.
    zone: RwSignal<Option<Zone>>,
}

/// Where days begin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Zone {
    #[default]
    Local,
    Utc,
}

impl Clock {
    pub fn provide() -> Self {
        let clock = Self { now: RwSignal::new(None), offset: StoredValue::new(0), zone: RwSignal::new(None) };
        provide_context(clock);
        effect(move || clock.tick());
        every(Duration::from_secs(1), move || clock.tick());
        clock
    }

    pub fn expect() -> Self {
        expect_context()
    }

    /// For the current component: None until it is mounted, whenever that is, so that what is hydrated late matches too.
    pub fn now() -> Signal<Option<Millis>> {
        let clock = Self::expect();
        let mounted = mounted();
        Signal::derive(move || if mounted.get() { clock.now.get() } else { None })
    }

    pub fn zone(self) -> RwSignal<Option<Zone>> {
        self.zone
    }

    /// How many minutes east of UTC the zone is at that time. In the browser only. Reactive.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "dates are far below 2^53 ms"
    )]
    pub fn minutes_east(self, at: Millis) -> i64 {
        match self.zone.get().unwrap_or_default() {
            Zone::Utc => 0,
            Zone::Local => -(js_sys::Date::new(&JsValue::from_f64(at as f64)).get_timezone_offset() as i64),
        }
    }

    /// Reads the browser's clock: in effects and event handlers only.
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds of a date fit")]
    pub fn read(self) -> Millis {
        js_sys::Date::now() as Millis + self.offset.get_value()
    }

    /// The server says what time it is. Small differences are the way of the message and change nothing.
    pub fn adjust(self, server: Millis) {
        let behind = server - self.read();
        if behind.abs() > 1_000 {
            self.offset.update_value(|offset| *offset += behind);
            self.tick();
        }
    }

    fn tick(self) {
        self.now.set(Some(self.read()));
    }
}

/// Whether the current component lives in the browser already. Controls that only work there wait for it.
pub fn mounted() -> ReadSignal<bool> {
    let (mounted, set_mounted) = signal(false);
    effect(move || set_mounted.set(true));
    mounted
}
