//! Who may use the console, and their sessions.

use uuid::Uuid;
use voltaxe_orchestrator::{
    authority::OperatorId,
    operators::{OperatorSummary, OwnSession},
};

use super::{choice, fact, facts, input, table, text};
use crate::{
    api::caller::Caller,
    error::ApiError,
    model::{
        Sheet,
        record::{Form, Kind},
        sheet::{Part, Row},
    },
};

const ROLES: [(&str, &str); 3] = [
    ("viewer", "Viewer: looks"),
    ("responder", "Responder: gives orders to hosts"),
    ("admin", "Admin: also enrols hosts and manages operators"),
];

pub(super) async fn list(caller: &Caller) -> Result<Sheet, ApiError> {
    let operators = caller.operators.list(&caller.permit()?, caller.now).await?;
    let rows = operators.iter().map(|operator| Row {
        cells: vec![
            operator.username.clone(),
            operator.role.clone(),
            state(operator),
            seen(operator),
            operator.sessions.to_string(),
            text::at(operator.created_at),
        ],
        href: Some(format!("/operators/{}", operator.id)),
        ..Row::default()
    });
    let columns = ["Operator", "Role", "State", "Last seen", "Sessions", "Since"];
    let create = Form {
        id: "create".to_owned(),
        title: "New operator".to_owned(),
        hidden: hidden("create_operator", None),
        fields: vec![
            input("username", "User name", "2 to 64 letters, digits or . _ @ -", Kind::Text),
            choice("role", "Role", "viewer", &ROLES),
            input("password", "Password", "12 characters or more", Kind::NewPassword),
            input("password_again", "Password again", "", Kind::NewPassword),
        ],
        button: "Create operator".to_owned(),
        tone: "primary".to_owned(),
        ..Form::default()
    };
    Ok(Sheet {
        title: "Operators".to_owned(),
        parts: vec![Part::Form(create), table("Operators", &columns, rows.collect())],
        ..Sheet::default()
    })
}

pub(super) async fn one(caller: &Caller, id: &str) -> Result<Sheet, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::NotFound)?;
    let permit = caller.permit()?;
    let operators = caller.operators.list(&permit, caller.now).await?;
    let operator = operators.into_iter().find(|operator| operator.id == id).ok_or(ApiError::NotFound)?;
    let own = caller.session.as_ref();
    let found = caller.operators.sessions_of(&permit, OperatorId(id), own, caller.now).await?;
    let rows = vec![
        fact("Role", operator.role.clone()),
        fact("State", state(&operator)),
        fact("Last seen", seen(&operator)),
        fact("Since", text::at(operator.created_at)),
    ];
    let mut parts = vec![facts("The operator", rows)];
    if caller.operator()?.id.0 == id {
        let words = "This is you. Your own role cannot be changed, nor can you disable yourself: ask another administrator.";
        parts.push(Part::Text(words.to_owned()));
        parts.push(Part::Link("/settings".to_owned(), "Your own password and sessions".to_owned()));
    } else {
        parts.extend(changes(&operator).map(Part::Form));
        parts.extend(sessions(&found, Some(id)));
    }
    Ok(Sheet {
        title: operator.username,
        back: Some(("/operators".to_owned(), "Operators".to_owned())),
        parts,
        ..Sheet::default()
    })
}

fn changes(operator: &OperatorSummary) -> [Form; 3] {
    let id = Some(operator.id);
    let is_disabled = operator.disabled_at.is_some();
    let role = Form {
        id: "role".to_owned(),
        hidden: hidden("set_role", id),
        about: "Holds at once, for sessions that are open too.".to_owned(),
        fields: vec![choice("role", "Role", &operator.role, &ROLES)],
        button: "Change role".to_owned(),
        tone: "primary".to_owned(),
        ..Form::default()
    };
    let (action, about, button, tone) = if is_disabled {
        ("enable_operator", "They can sign in again, with the password that they have.", "Enable", "primary")
    } else {
        ("disable_operator", "Their sessions end at once, and they cannot sign in.", "Disable", "danger")
    };
    let disable = Form {
        id: "disable".to_owned(),
        hidden: hidden(action, id),
        about: about.to_owned(),
        button: format!("{button} {}", operator.username),
        tone: tone.to_owned(),
        ..Form::default()
    };
    let password = Form {
        id: "reset".to_owned(),
        title: "Set a new password".to_owned(),
        hidden: hidden("reset_password", id),
        about: "Their sessions end at once. Tell them the new password in person.".to_owned(),
        fields: vec![
            input("password", "New password", "12 characters or more", Kind::NewPassword),
            input("password_again", "New password again", "", Kind::NewPassword),
        ],
        button: "Set password".to_owned(),
        tone: "danger".to_owned(),
        ..Form::default()
    };
    [role, disable, password]
}

/// The list of sessions, and ending them. `of`: whose; `None`: the asker's.
pub(super) fn sessions(found: &[OwnSession], of: Option<Uuid>) -> Vec<Part> {
    let mut parts = vec![Part::Heading("Sessions".to_owned())];
    if found.is_empty() {
        parts.push(Part::Text("No session is open.".to_owned()));
        return parts;
    }
    let rows = found.iter().map(|session| Row {
        cells: vec![
            if session.is_own { "This one".to_owned() } else { name(session) },
            text::at(session.created_at),
            text::at(session.last_seen_at),
            session.client.clone().unwrap_or_else(|| "not known".to_owned()),
            text::at(session.expires_at),
        ],
        ..Row::default()
    });
    let columns = ["Session", "Opened", "Last seen", "From", "Ends at the latest"];
    parts.push(table("Sessions", &columns, rows.collect()));
    let others: Vec<&OwnSession> = found.iter().filter(|session| !session.is_own).collect();
    if others.is_empty() {
        return parts;
    }
    let choices: Vec<(String, String)> = others
        .iter()
        .map(|session| {
            let from = session.client.as_deref().unwrap_or("an address that is not known");
            (session.id.to_string(), format!("{}, from {from}", name(session)))
        })
        .collect();
    parts.push(Part::Form(Form {
        id: "end-one".to_owned(),
        hidden: hidden("end_session", of),
        fields: vec![input("session", "Session", "", Kind::Choice(choices))],
        button: "End this session".to_owned(),
        tone: "danger".to_owned(),
        ..Form::default()
    }));
    parts.push(Part::Form(Form {
        id: "end-all".to_owned(),
        hidden: hidden("end_sessions", of),
        button: if of.is_some() { "End all sessions" } else { "End all other sessions" }.to_owned(),
        tone: "danger".to_owned(),
        ..Form::default()
    }));
    parts
}

/// Tells sessions apart; it is no secret.
fn name(session: &OwnSession) -> String {
    session.id.simple().to_string()[24..].to_owned()
}

pub(super) fn hidden(action: &str, id: Option<Uuid>) -> Vec<(String, String)> {
    let id = id.map(|id| ("id".to_owned(), id.to_string()));
    std::iter::once(("action".to_owned(), action.to_owned())).chain(id).collect()
}

fn state(operator: &OperatorSummary) -> String {
    operator.disabled_at.map_or_else(|| "Active".to_owned(), |at| format!("Disabled since {}", text::at(at)))
}

fn seen(operator: &OperatorSummary) -> String {
    operator.last_seen_at.map_or_else(|| "never".to_owned(), text::at)
}
