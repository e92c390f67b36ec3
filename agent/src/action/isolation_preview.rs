use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{IsolationPreview, IsolationPreviewOutcome, check_exceptions};

use crate::{
    core::ActionOutcome,
    isolation::{Kernel, Terms},
};

/// Of a result as JSON; the rest is for its frame.
const MAX_RULESET_BYTES: usize = 40 * 1024;

/// Changes nothing.
pub fn run(
    kernel: &mut Kernel,
    order: &IsolationPreview,
    servers: &[SocketAddr],
    now: DateTime<Utc>,
) -> ActionOutcome {
    if let Err(error) = check_exceptions(&order.exceptions, now) {
        let data = Some(serde_json::json!({ "refused": "invalid" }));
        return ActionOutcome { success: false, message: format!("It would be refused: {error}"), data };
    }
    let mut preview = kernel.preview(servers, &Terms::of_preview(order, now), now);
    shorten(&mut preview);
    let message = match preview.warnings.len() {
        0 => "An isolate would do this".to_owned(),
        1 => "An isolate would do this; there is 1 warning".to_owned(),
        several => format!("An isolate would do this; there are {several} warnings"),
    };
    let data = serde_json::to_value(preview).expect("our wire types have a JSON form");
    ActionOutcome { success: true, message, data: Some(data) }
}

/// A host with hundreds of devices has a chain for each.
fn shorten(preview: &mut IsolationPreviewOutcome) {
    if preview.ruleset.len() > MAX_RULESET_BYTES {
        let lines = preview.ruleset.lines().count();
        let mut end = MAX_RULESET_BYTES;
        while !preview.ruleset.is_char_boundary(end) {
            end -= 1;
        }
        preview.ruleset.truncate(end);
        preview.ruleset += &format!("\n# cut here: the whole has {lines} lines");
    }
}
