use leptos::prelude::*;

/// Says changes of state to those who hear the page.
#[derive(Clone, Copy)]
pub struct Announcer(RwSignal<String>);

impl Announcer {
    pub fn provide() -> Self {
        let announcer = Self(RwSignal::new(String::new()));
        provide_context(announcer);
        announcer
    }

    pub fn expect() -> Self {
        expect_context()
    }

    pub fn say(self, words: String) {
        self.0.set(words);
    }

    pub fn words(self) -> String {
        self.0.get()
    }
}
