use std::pin::Pin;

use leptos::prelude::*;

use crate::{
    api,
    error::ApiError,
    model::{Order, key, order::Sent},
};

/// An order being written. Its key is made when the dialog opens: however often it is sent, it is one command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Draft {
    pub order: Order,
    pub target: Target,
    pub reason: String,
    /// What stays open, as lines of its field, and whether names are resolved. When it ends is chosen anew.
    pub terms: Option<(String, bool)>,
    key: String,
    /// It was sent and refused: the dialog opens with what was written, and says why.
    pub refusal: Option<ApiError>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Host {
        id: String,
        hostname: String,
    },
    /// What the batch of this id isolated.
    Undo(String),
}

type Answer = Pin<Box<dyn Future<Output = Result<Sent, ApiError>>>>;

impl Draft {
    /// In the browser only.
    pub fn new(order: Order, target: Target, reason: String) -> Self {
        Self { order, target, reason, terms: None, key: new_key(), refusal: None }
    }

    pub fn on_terms(self, terms: Option<(String, bool)>) -> Self {
        Self { terms, ..self }
    }

    pub fn refused(self, why: ApiError) -> Self {
        Self { refusal: Some(why), ..self }
    }

    /// `form`: the dialog's fields, encoded.
    pub fn send(self, form: String) -> Answer {
        let Self { order, target, reason, key, .. } = self;
        Box::pin(async move {
            match target {
                Target::Undo(batch) => api::undo_batch(batch, reason, key).await.map(Sent::Batch),
                Target::Host { id, .. } => api::order(order, id, form, key).await,
            }
        })
    }
}

impl Draft {
    pub fn tone(&self) -> &'static str {
        self.order.tone()
    }

    /// Whether a host can be asked what the order would do to it.
    pub fn has_preview(&self) -> bool {
        matches!((&self.target, self.order), (Target::Host { .. }, Order::Isolate))
    }

    /// `Isolating web-01`.
    pub fn doing(&self) -> String {
        let verb = match self.order {
            Order::Isolate => "Isolating",
            Order::Restore => "Releasing",
            Order::Check => "Checking",
        };
        format!("{verb} {}", self.target.words())
    }

    /// The class of a form that shows what goes with the order.
    pub fn offers(&self) -> &'static str {
        match (&self.target, self.order) {
            (Target::Undo(_), _) => "",
            (Target::Host { .. }, Order::Isolate) => "offers-time offers-terms offers-host",
            (_, Order::Restore | Order::Check) => "offers-time",
        }
    }
}

impl Target {
    /// After the verb.
    pub fn words(&self) -> String {
        match self {
            Self::Host { hostname, .. } => hostname.clone(),
            Self::Undo(_) => "its hosts".to_owned(),
        }
    }

    pub fn question(&self, order: Order) -> String {
        match self {
            Self::Undo(_) => "Undo this batch?".to_owned(),
            Self::Host { .. } => format!("{} {}?", order.verb(), self.words()),
        }
    }
}

/// An idempotency key. In the browser only.
pub fn new_key() -> String {
    let mut random = [0; 16];
    if let Ok(crypto) = window().crypto() {
        let _ = crypto.get_random_values_with_u8_array(&mut random);
    }
    key::uuid_v4(random)
}
