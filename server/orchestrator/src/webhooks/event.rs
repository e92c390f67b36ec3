//! Which rows of the audit log are events, who wants them, and how they are told.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;
use voltaxe_store::{AuditedEvent, NewDelivery};

use crate::{
    model::{DeliveryId, WebhookPreset, WebhookRecord},
    plain,
};

/// What can be asked for.
pub const EVENTS: [&str; 7] = [
    "command.executed",
    "command.failed",
    "command.expired",
    "command.cancelled",
    "isolation.drift",
    "endpoint.enrolled",
    "endpoint.awaiting_approval",
];
/// Sent when an operator asks for it, whatever the webhook is for.
pub const TEST_EVENT: &str = "webhook.test";

/// The words of hosts are cut to this, so that a body stays far below what receivers take.
const LONGEST_WORDS: usize = 1_000;

/// One a webhook that wants to know.
pub(super) fn deliveries(
    event: &AuditedEvent,
    webhooks: &[WebhookRecord],
    console_url: Option<&str>,
) -> Vec<NewDelivery> {
    let Some(kind) = kind(event) else { return Vec::new() };
    let wants = |webhook: &&WebhookRecord| {
        webhook.active_since <= event.at
            && webhook.events.iter().any(|wanted| wanted == kind)
            && (webhook.kinds.is_empty()
                || event.command.as_ref().is_none_or(|command| webhook.kinds.contains(command)))
    };
    webhooks
        .iter()
        .filter(wants)
        .map(|webhook| NewDelivery {
            id: DeliveryId(Uuid::now_v7()),
            webhook_id: webhook.id,
            event: kind,
            body: match webhook.preset {
                WebhookPreset::Generic => generic(kind, event.at, data(event, console_url)),
                WebhookPreset::Slack => slack(&sentence(kind, event), link(event, console_url).as_deref()),
            },
        })
        .collect()
}

pub(super) fn test(webhook: &WebhookRecord, by: &str, now: DateTime<Utc>) -> NewDelivery {
    NewDelivery {
        id: DeliveryId(Uuid::now_v7()),
        webhook_id: webhook.id,
        event: TEST_EVENT,
        body: match webhook.preset {
            WebhookPreset::Generic => generic(TEST_EVENT, now, json!({ "webhook": webhook.name, "by": by })),
            WebhookPreset::Slack => {
                slack(&format!("This is a test of the webhook {}, asked for by {by}.", webhook.name), None)
            }
        },
    }
}

fn kind(event: &AuditedEvent) -> Option<&'static str> {
    let named = match event.action.as_str() {
        "endpoint.enrol" => match event.detail.as_ref()?.get("status")?.as_str()? {
            "awaiting_approval" => "endpoint.awaiting_approval",
            _ => "endpoint.enrolled",
        },
        action => action,
    };
    EVENTS.into_iter().find(|known| *known == named)
}

fn generic(kind: &str, at: DateTime<Utc>, data: Value) -> String {
    json!({ "type": kind, "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true), "data": data })
        .to_string()
}

/// `<` and `>` are what Slack makes links and calls for attention of, `&` what these are written with.
fn slack(text: &str, link: Option<&str>) -> String {
    let mut text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if let Some(link) = link {
        text.push_str(&format!(" <{link}|Open it>"));
    }
    json!({ "text": text }).to_string()
}

fn data(event: &AuditedEvent, console_url: Option<&str>) -> Value {
    json!({
        "audit_id": event.place.id,
        "endpoint_id": event.endpoint_id,
        "hostname": event.hostname,
        "command_id": event.command_id,
        "command": event.command,
        "by": event.actor,
        "message": event.reason.as_deref().map(words),
        "url": link(event, console_url),
    })
}

/// Who reads it has no page beside it: it says all.
fn sentence(kind: &str, event: &AuditedEvent) -> String {
    let host = event.hostname.as_deref().unwrap_or("a host");
    let command = event.command.as_deref().unwrap_or("a command").replace('_', " ");
    let number = event.command_id.map(|id| format!(" (command {id})")).unwrap_or_default();
    let what = match kind {
        "command.executed" => format!("{host} has carried out {command}{number}"),
        "command.failed" => format!("{host} has failed to carry out {command}{number}"),
        "command.expired" => format!("{command} for {host} has expired without an answer{number}"),
        "command.cancelled" => format!("{} has cancelled {command} for {host}{number}", event.actor),
        "isolation.drift" => format!("Somebody else has changed the isolation of {host}"),
        "endpoint.awaiting_approval" => {
            format!("{host} was enrolled with another key and waits for an administrator's approval")
        }
        _ => format!("{host} has enrolled"),
    };
    match event.reason.as_deref().map(words).filter(|words| !words.is_empty()) {
        Some(words) => format!("{what}: {words}"),
        None => format!("{what}."),
    }
}

fn words(text: &str) -> String {
    plain::shown(text, LONGEST_WORDS, false)
}

fn link(event: &AuditedEvent, console_url: Option<&str>) -> Option<String> {
    Some(format!("{}/endpoints/{}", console_url?.trim_end_matches('/'), event.endpoint_id.as_ref()?))
}

#[cfg(test)]
mod tests {
    use voltaxe_protocol::CommandId;
    use voltaxe_store::WebhookPlace;

    use super::*;
    use crate::model::{WebhookId, WebhookState};

    fn webhook(preset: WebhookPreset, events: &[&str], kinds: &[&str]) -> WebhookRecord {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        WebhookRecord {
            id: WebhookId(Uuid::nil()),
            name: "chat".to_owned(),
            url: "https://hooks.example.com/".to_owned(),
            preset,
            events: owned(events),
            kinds: owned(kinds),
            state: WebhookState::Active,
            active_since: DateTime::UNIX_EPOCH,
            secret_number: 1,
            rotated_at: None,
            created_by: "ada".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn event(action: &str, command: Option<&str>) -> AuditedEvent {
        AuditedEvent {
            place: WebhookPlace { written_in: 1, id: 7 },
            at: DateTime::UNIX_EPOCH,
            actor: "agent".to_owned(),
            action: action.to_owned(),
            endpoint_id: None,
            hostname: Some("web-01".to_owned()),
            command_id: command.map(|_| CommandId(4)),
            reason: Some("<!channel> & \u{202e}gpj".to_owned()),
            detail: None,
            command: command.map(str::to_owned),
        }
    }

    fn told(event: &AuditedEvent, webhook: WebhookRecord) -> Vec<String> {
        deliveries(event, &[webhook], None).into_iter().map(|delivery| delivery.body).collect()
    }

    #[test]
    fn a_webhook_gets_what_it_is_for() {
        let failed = event("command.failed", Some("network_isolate"));
        let count = |event: &AuditedEvent, events: &[&str], kinds: &[&str]| {
            told(event, webhook(WebhookPreset::Generic, events, kinds)).len()
        };
        assert_eq!(count(&failed, &["command.failed"], &[]), 1);
        assert_eq!(count(&failed, &["command.failed"], &["network_isolate"]), 1);
        assert_eq!(count(&failed, &["command.failed"], &["kill_process"]), 0);
        assert_eq!(count(&failed, &["command.executed"], &[]), 0);
        assert_eq!(count(&event("isolation.drift", None), &["isolation.drift"], &["kill_process"]), 1);
        assert_eq!(count(&event("operator.sign_in", None), &EVENTS, &[]), 0);
        let mut early = failed.clone();
        early.at -= chrono::TimeDelta::seconds(1);
        assert_eq!(count(&early, &["command.failed"], &[]), 0, "from before the webhook was there");
    }

    #[test]
    fn slack_gets_no_markup_and_no_controls_of_a_host() {
        let body = told(
            &event("command.failed", Some("network_isolate")),
            webhook(WebhookPreset::Slack, &["command.failed"], &[]),
        );
        let text: Value = serde_json::from_str(&body[0]).unwrap();
        assert_eq!(
            text["text"],
            r"web-01 has failed to carry out network isolate (command 4): &lt;!channel&gt; &amp; \u{202e}gpj"
        );
    }

    #[test]
    fn the_generic_form_is_type_timestamp_and_data() {
        let body = told(
            &event("command.failed", Some("network_isolate")),
            webhook(WebhookPreset::Generic, &["command.failed"], &[]),
        );
        let body: Value = serde_json::from_str(&body[0]).unwrap();
        assert_eq!(body["type"], "command.failed");
        assert_eq!(body["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(body["data"]["command_id"], 4);
        assert_eq!(body["data"]["hostname"], "web-01");
    }
}
