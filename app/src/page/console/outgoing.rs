//! Orders that leave in a moment. Until then they can be taken back; nothing is sent before. They belong to the frame and
//! not to the page, so that one may go on to another page meanwhile.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::Event;

use super::Announcer;
use crate::{
    clock::Clock,
    error::ApiError,
    model::{Millis, Order, order::Sent, time::SECOND},
    page::{Problem, code::Extra, order_dialog::Draft},
    ui::{
        Icon, Item, Shape, all,
        dom::{focus, kept, spawn},
        form, list, text, view,
    },
};

/// Where the preference is kept in this browser: seconds, 0 sends at once.
pub const UNDO_SECONDS: &str = "voltaxe.undo_seconds";
const USUAL: u32 = 5;
const LONGEST: u32 = 60;

#[must_use]
pub fn undo_seconds() -> u32 {
    kept(UNDO_SECONDS).and_then(|kept| kept.parse().ok()).map_or(USUAL, |seconds: u32| seconds.min(LONGEST))
}

#[derive(Clone, Copy)]
pub struct Outgoing {
    departures: RwSignal<Vec<Departure>>,
    /// A page with a dialog is shown, or was.
    expected: RwSignal<bool>,
    next: StoredValue<u64>,
    clock: Clock,
    announcer: Announcer,
}

/// A confirmed order, and the dialog that it came from.
#[derive(Clone)]
struct Departure {
    number: u64,
    draft: Draft,
    form: String,
    dialog: RwSignal<Option<Draft>>,
    on_sent: Callback<(Order, Sent)>,
    at: Millis,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    Counting,
    Sending,
    Refused(ApiError),
    /// Sent when its page was gone: what came of it, and where to look.
    Sent(String, String),
}

impl Outgoing {
    pub fn provide() {
        provide_context(Self {
            departures: RwSignal::new(Vec::new()),
            expected: RwSignal::new(false),
            next: StoredValue::new(0),
            clock: Clock::expect(),
            announcer: Announcer::expect(),
        });
    }

    pub fn expect() -> Self {
        expect_context()
    }

    /// Loads the code of the bar before there is something in it. In the browser only.
    pub fn prepare(self) {
        if !self.expected.get_untracked() {
            self.expected.set(true);
            self.warn_of_leaving();
        }
    }

    /// `form`: the dialog's fields, encoded. In the browser only.
    pub fn leave_in(
        self,
        seconds: u32,
        draft: Draft,
        form: String,
        dialog: RwSignal<Option<Draft>>,
        on_sent: Callback<(Order, Sent)>,
    ) {
        let number = self.next.get_value();
        self.next.set_value(number + 1);
        self.announcer.say(format!("{} in {seconds} s. It can be taken back until then.", draft.doing()));
        let at = self.clock.read() + SECOND * Millis::from(seconds);
        let departure = Departure { number, draft, form, dialog, on_sent, at, stage: Stage::Counting };
        self.departures.update(|departures| departures.push(departure));
        set_timeout(move || self.send(number), Duration::from_secs(seconds.into()));
        // After the dialog has given the focus back to where it was opened.
        set_timeout(move || focus(&undo_id(number)), Duration::ZERO);
    }

    /// Once: by the clock or by a press, whichever is first.
    fn send(self, number: u64) {
        let Some(departure) = self.find(number) else { return };
        if matches!(departure.stage, Stage::Sending | Stage::Sent(..)) {
            return;
        }
        self.set_stage(number, Stage::Sending);
        let Departure { draft, form, .. } = departure.clone();
        let answer = draft.send(form);
        spawn(async move {
            match answer.await {
                Ok(sent) => self.arrived(departure, sent),
                Err(refused) => self.refused(departure, refused),
            }
        });
    }

    fn arrived(self, departure: Departure, sent: Sent) {
        let Departure { number, draft, on_sent, .. } = departure;
        let (words, place) = match &sent {
            Sent::Command(accepted) => {
                (accepted.sentence(draft.order, &draft.target.words()), "/commands".to_owned())
            }
            Sent::Schedule(made) => (format!("Scheduled: {made}."), "/schedules".to_owned()),
            Sent::Batch(id) => (format!("{} as a batch.", draft.doing()), format!("/batches/{id}")),
        };
        if on_sent.try_run((draft.order, sent)).is_some() {
            self.forget(number);
        } else {
            self.set_stage(number, Stage::Sent(words, place));
        }
    }

    /// Back into its dialog while that is as it was left; else it stays here, to be sent again.
    fn refused(self, departure: Departure, refused: ApiError) {
        let Departure { number, draft, form, dialog, .. } = departure;
        let is_as_left =
            dialog.try_with_untracked(Option::is_none) == Some(true) && form::encoded("order-form") == form;
        if is_as_left {
            self.forget(number);
            dialog.set(Some(draft.refused(refused)));
        } else {
            self.set_stage(number, Stage::Refused(refused));
        }
    }

    fn take_back(self, number: u64) {
        if let Some(Departure { draft, stage: Stage::Counting, .. }) = self.find(number) {
            self.announcer.say(format!("Nothing was sent to {}.", draft.target.words()));
            self.forget(number);
        }
    }

    fn forget(self, number: u64) {
        let had_focus = document()
            .active_element()
            .is_some_and(|element| element.closest(".outgoing").is_ok_and(|bar| bar.is_some()));
        self.departures.update(|departures| departures.retain(|one| one.number != number));
        if had_focus {
            focus("main");
        }
    }

    fn find(self, number: u64) -> Option<Departure> {
        self.departures.with_untracked(|all| all.iter().find(|one| one.number == number).cloned())
    }

    fn set_stage(self, number: u64, stage: Stage) {
        self.departures.update(|all| {
            if let Some(one) = all.iter_mut().find(|one| one.number == number) {
                one.stage = stage;
            }
        });
    }

    /// Whether something would be lost with the tab.
    pub fn has_unsent(self) -> bool {
        let is_sent = |one: &Departure| matches!(one.stage, Stage::Sent(..));
        self.departures.with_untracked(|all| !all.iter().all(is_sent))
    }

    fn warn_of_leaving(self) {
        let warn = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            if self.has_unsent() {
                event.prevent_default();
            }
        });
        // For as long as the tab is there.
        let warn = warn.into_js_value();
        let _ = window().add_event_listener_with_callback("beforeunload", warn.unchecked_ref());
    }
}

fn undo_id(number: u64) -> String {
    format!("undo-{number}")
}

#[component]
pub fn OutgoingBar() -> impl IntoView {
    let outgoing = Outgoing::expect();
    Extra::OutgoingBar.draw_when(move || outgoing.expected.get())
}

pub fn outgoing_bar() -> AnyView {
    let outgoing = Outgoing::expect();
    let lines = move || {
        let line = |departure: Departure| {
            let stage = match departure.stage {
                Stage::Counting => 'c',
                Stage::Sending => 's',
                Stage::Refused(_) => 'r',
                Stage::Sent(..) => 'd',
            };
            let key = format!("{}{stage}", departure.number);
            Item::new(key, move || view! { <Line departure=departure.clone()/> })
        };
        outgoing.departures.get().into_iter().map(line).collect()
    };
    view! { <div class="outgoing">{list(lines)}</div> }
}

#[component]
fn Line(departure: Departure) -> impl IntoView {
    let outgoing = Outgoing::expect();
    let now = Clock::now();
    let Departure { number, draft, at, stage, .. } = departure;
    let doing = draft.doing();
    let button = move |name: &'static str, tone: &'static str, id: String, press: fn(Outgoing, u64)| {
        view! {
            <button
                class=format!("button button--small {tone}") type="button" id=id
                on:click=move |_| press(outgoing, number)
            >
                {name}
            </button>
        }
    };
    let content = match stage {
        Stage::Counting => all([
            view! {
                <span>
                    <b>{doing}</b>
                    <span aria-hidden="true">
                        {text(move || match now.get() {
                            Some(now) => format!(" in {} s", ((at - now + SECOND - 1) / SECOND).max(0)),
                            None => String::new(),
                        })}
                    </span>
                    ". Nothing is sent before."
                </span>
            },
            button("Undo", "", undo_id(number), Outgoing::take_back),
            button("Now", "button--danger", String::new(), Outgoing::send),
        ]),
        Stage::Sending => view! { <span><b>{doing}</b>": being sent…"</span> },
        Stage::Refused(error) => all([
            view! { <b>{doing}</b> },
            view! { <Problem error/> },
            button("Send again", "button--danger", String::new(), Outgoing::send),
            button("Discard", "", String::new(), Outgoing::forget),
        ]),
        Stage::Sent(words, place) => all([
            view! { <span>{words}" "<a href=place>"Look"</a></span> },
            button("Dismiss", "", String::new(), Outgoing::forget),
        ]),
    };
    view! {
        <div class="outgoing__line" role="group" aria-label="An order that leaves">
            <Icon shape=Shape::Clock/>
            {content}
        </div>
    }
}
