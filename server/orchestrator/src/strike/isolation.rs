//! The terms of an isolation, while it is in force.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{Command, CommandState, IsolationChange};
use voltaxe_store::{ChangeIsolation, NewCommand};

use super::{Request, Strike, Target, console::key_reused, request::Draft};
use crate::{
    StrikeError,
    authority::Operator,
    model::{Accepted, DesiredIsolation, IsolationDirection, IsolationTerms, ScheduleRecord},
};

impl Strike {
    /// `change` is the checked content of `draft`. Its end moves the server's own way back, too.
    pub(super) async fn change_isolation(
        &self,
        operator: &Operator,
        draft: &Draft,
        change: &IsolationChange,
        request: &Request,
        now: DateTime<Utc>,
    ) -> Result<Accepted, StrikeError> {
        let mut endpoint = self.resolve(&request.target).await?;
        for is_last in [false, true] {
            let mut new = self.one(draft, endpoint.clone(), operator, request);
            new.leased_until = self.delivery().lease_for(&endpoint, new.command, now);
            match self.store().change_isolation(&new, change.auto_restore_at, now).await? {
                ChangeIsolation::Queued(record) => {
                    let accepted = self.accepted(&record, false);
                    self.delivery().send_out(vec![record], now);
                    return Ok(accepted);
                }
                ChangeIsolation::Repeated(record) => return Ok(self.accepted(&record, true)),
                ChangeIsolation::KeyReused => return Err(key_reused()),
                ChangeIsolation::NotIsolated | ChangeIsolation::NoSuchEndpoint => {}
            }
            // The name may have been remembered from before the host was enrolled anew.
            if let (Target::Hostname(name), false) = (&request.target, is_last) {
                self.names().remove(name);
                endpoint = self.resolve(&request.target).await?;
            }
        }
        match self.store().endpoint(&endpoint).await? {
            Some(record) if is_on_its_way(record.desired.as_ref()) => Err(StrikeError::Conflict(format!(
                "the isolation of {} is not in force yet; change its terms once it is, or cancel it and isolate anew",
                record.hostname
            ))),
            Some(record) if is_wanted_isolated(record.desired.as_ref()) => {
                self.explain_missing(&endpoint).await
            }
            Some(record) => Err(StrikeError::Conflict(format!(
                "{} is not to be isolated, so there are no terms to change; isolate it with these exceptions",
                record.hostname
            ))),
            None => self.explain_missing(&endpoint).await,
        }
    }

    /// The command that tells a host's kernel of the end that a rollback has from now on. `None`: nothing that the agent would
    /// take; the server's own way back holds.
    pub(super) fn change_of_end(
        &self,
        rollback: &ScheduleRecord,
        mut terms: IsolationTerms,
        auto_restore_at: Option<DateTime<Utc>>,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Option<NewCommand> {
        let endpoint = rollback.endpoint_ids.first()?;
        terms.exceptions.retain(|exception| exception.until.is_none_or(|until| until > now));
        let change = IsolationChange {
            reason: String::new(),
            exceptions: terms.exceptions,
            allow_dns: terms.allow_dns,
            auto_restore_at,
        };
        let draft = self.draft(Command::IsolationChange(change), reason, None, now).ok()?;
        let mut new = draft.for_endpoint(endpoint.clone(), by);
        new.leased_until = self.delivery().lease_for(endpoint, new.command, now);
        Some(new)
    }
}

fn is_on_its_way(desired: Option<&DesiredIsolation>) -> bool {
    desired.is_some_and(|desired| {
        desired.direction == IsolationDirection::Isolate
            && matches!(desired.state, CommandState::Pending | CommandState::Delivered)
    })
}

pub(super) fn is_wanted_isolated(desired: Option<&DesiredIsolation>) -> bool {
    desired.is_some_and(|desired| {
        let holds = match desired.state {
            CommandState::Pending | CommandState::Delivered | CommandState::Executed => true,
            CommandState::Failed
            | CommandState::Expired
            | CommandState::Cancelled
            | CommandState::Unknown => false,
        };
        holds && desired.direction == IsolationDirection::Isolate
    })
}
