//! What hosts say is bounded before it is kept: whoever holds one host must not fill the server.

use voltaxe_protocol::{CommandResult, IsolationObservation, MAX_FRAME_BYTES, MOST_EXCEPTIONS, Telemetry};

/// `data` of a result beyond this is not kept. A list of processes is the largest.
const LARGEST_RESULT_DATA_BYTES: usize = MAX_FRAME_BYTES;
const LONGEST_MESSAGE_CHARS: usize = 2000;
const LONGEST_WORD_CHARS: usize = 200;
const MOST_ITEMS: usize = 32;

pub(crate) fn result(result: &mut CommandResult) {
    cut(&mut result.message, LONGEST_MESSAGE_CHARS);
    let fits = result.data.as_ref().is_none_or(|data| {
        let text = data.to_string();
        text.len() <= LARGEST_RESULT_DATA_BYTES && !text.contains("\\u0000")
    });
    if !fits {
        result.data = Some(serde_json::json!({ "left_out": "too large, or not storable" }));
    }
}

pub(crate) fn telemetry(telemetry: &mut Telemetry) {
    let Telemetry { hostname, isolation, agent, host, disks, .. } = telemetry;
    for word in
        [hostname, &mut agent.version, &mut host.os, &mut host.kernel, &mut host.arch, &mut host.boot_id]
    {
        cut(word, LONGEST_WORD_CHARS);
    }
    observation(isolation);
    host.addresses.truncate(MOST_ITEMS);
    host.addresses.iter_mut().for_each(|address| cut(address, LONGEST_WORD_CHARS));
    disks.truncate(MOST_ITEMS);
    disks.iter_mut().for_each(|disk| cut(&mut disk.mount, LONGEST_WORD_CHARS));
}

pub(crate) fn observation(isolation: &mut IsolationObservation) {
    if let Some(detail) = &mut isolation.detail {
        cut(detail, LONGEST_MESSAGE_CHARS);
    }
    if let Some(drift) = &mut isolation.drift {
        cut(&mut drift.found, LONGEST_MESSAGE_CHARS);
    }
    isolation.exceptions.truncate(MOST_EXCEPTIONS);
}

/// Told on as it is, and not kept.
pub(crate) fn progress(step: &mut String) {
    *step = crate::plain::shown(step, LONGEST_WORD_CHARS, false);
}

/// Postgres text and jsonb hold no NUL.
fn cut(text: &mut String, chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
    text.retain(|c| c != '\0');
}
