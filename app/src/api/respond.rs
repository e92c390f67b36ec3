use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Sheet, SheetOf},
};

/// What a page about a host's processes or evidence starts with.
#[server(name = LoadSheet, prefix = "/rpc", endpoint = "sheet", protocol = Rpc)]
pub async fn sheet(of: SheetOf) -> Result<Sheet, ApiError> {
    super::caller::answer(super::sheets::sheet(of).await)
}

/// Asks something of one host, or about it, and waits a moment for its answer. `form`: as a browser encodes it; its field
/// `action` says what is asked. `idempotency_key`: as for [`super::order`].
#[server(prefix = "/rpc", endpoint = "respond", protocol = Rpc)]
pub async fn respond(endpoint_id: String, form: String, idempotency_key: String) -> Result<Sheet, ApiError> {
    super::caller::answer(ssr::respond(&endpoint_id, &form, &idempotency_key).await)
}

#[cfg(feature = "ssr")]
mod ssr {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use voltaxe_orchestrator::{
        model::CommandRecord,
        strike::{Request, Target},
    };
    use voltaxe_protocol::{
        CollectForensics, Command, EndpointId, EvidenceLimits, ForensicsProfile, IsolationChange,
        IsolationPreview, KillProcess, ListProcesses, ProcessId, ProcessTarget, ResumeProcess,
        SuspendProcess,
    };

    use super::{
        super::{
            caller::Caller,
            exceptions,
            parse::{self, Form},
            sheets::{outcome, preview, processes, text},
        },
        ApiError, Sheet,
    };
    use crate::model::sheet::Part;

    /// A host that is there answers a look within this.
    const LOOK_WITHIN: Duration = Duration::from_secs(10);
    const MIB: u64 = 1024 * 1024;

    pub async fn respond(endpoint: &str, form: &str, key: &str) -> Result<Sheet, ApiError> {
        let asked = Asked {
            caller: Caller::expect()?,
            endpoint: endpoint.parse().map_err(|_| ApiError::NotFound)?,
            form: Form::of(form),
            key: key.to_owned(),
        };
        match asked.form.get("action") {
            "preview" => asked.preview().await,
            "change" => asked.change().await,
            "ticket" => asked.ticket().await,
            "list" => asked.list().await,
            "review" => asked.review().await,
            "act" => asked.act().await,
            "collect" => asked.collect().await,
            _ => Err(parse::invalid("action", "is not known")),
        }
    }

    struct Asked {
        caller: Caller,
        endpoint: EndpointId,
        form: Form,
        key: String,
    }

    impl Asked {
        fn now(&self) -> DateTime<Utc> {
            self.caller.now
        }

        async fn preview(&self) -> Result<Sheet, ApiError> {
            let command = Command::IsolationPreview(IsolationPreview {
                exceptions: exceptions::parse(self.form.get("exceptions"), self.now())?,
                allow_dns: self.form.is_on("allow_dns"),
                auto_restore_after_seconds: self.form.number("auto_restore_after_seconds")?,
            });
            let record = self.order(command, "Preview of an isolation", LOOK_WITHIN).await?;
            Ok(answered(&record, preview::parts))
        }

        async fn change(&self) -> Result<Sheet, ApiError> {
            let end = match self.form.get("ends") {
                "at" => parse::utc("auto_restore_at", self.form.get("auto_restore_at"))?
                    .ok_or_else(|| parse::invalid("auto_restore_at", "is empty; name a time, or let it last"))
                    .map(Some)?,
                "keep" => self.present_end().await?,
                _ => None,
            };
            let command = Command::IsolationChange(IsolationChange {
                reason: String::new(),
                exceptions: exceptions::parse(self.form.get("exceptions"), self.now())?,
                allow_dns: self.form.is_on("allow_dns"),
                auto_restore_at: end,
            });
            let record = self.order(command, self.form.get("reason"), LOOK_WITHIN).await?;
            Ok(answered(&record, |_| None))
        }

        /// When the isolation ends by itself as things are.
        async fn present_end(&self) -> Result<Option<DateTime<Utc>>, ApiError> {
            let permit = self.caller.permit()?;
            let view = self.caller.strike.endpoint(&permit, &self.endpoint, self.now()).await?;
            Ok(view.and_then(|view| view.record.desired).and_then(|desired| desired.auto_restore_at))
        }

        async fn ticket(&self) -> Result<Sheet, ApiError> {
            let (permit, reason) = (self.caller.permit()?, self.form.get("reason"));
            let issued =
                self.caller.strike.release_ticket(&permit, &self.endpoint, reason, self.now()).await?;
            let about = format!(
                "Good for command {} on {} alone, and shown only now. As root on that host:",
                issued.generation, issued.hostname
            );
            let line = Part::Secret("the release command".to_owned(), issued.command_line());
            Ok(parts(vec![Part::Text(about), line]))
        }

        async fn list(&self) -> Result<Sheet, ApiError> {
            let record =
                self.order(Command::ListProcesses(ListProcesses {}), "Process view", LOOK_WITHIN).await?;
            Ok(answered(&record, processes::parts))
        }

        /// Which processes an order would be about, as the host finds them now.
        async fn review(&self) -> Result<Sheet, ApiError> {
            let command = self.processes("pick", true)?;
            let record = self.order(command, "Look at processes", LOOK_WITHIN).await?;
            Ok(answered(&record, outcome::review))
        }

        async fn act(&self) -> Result<Sheet, ApiError> {
            let command = self.processes("process", false)?;
            let grace = self.form.number("grace_seconds")?.unwrap_or(5_u8);
            let within = LOOK_WITHIN + Duration::from_secs(grace.min(10).into());
            let record = self.order(command, self.form.get("reason"), within).await?;
            Ok(answered(&record, outcome::parts))
        }

        async fn collect(&self) -> Result<Sheet, ApiError> {
            let profile = match self.form.get("profile") {
                "quick" => ForensicsProfile::Quick,
                "standard" => ForensicsProfile::Standard,
                "full" => ForensicsProfile::Full,
                _ => return Err(parse::invalid("profile", "must be quick, standard or full")),
            };
            let default = EvidenceLimits::default();
            let minutes = self.form.number::<u32>("max_minutes")?;
            let limits = EvidenceLimits {
                max_bytes: self
                    .form
                    .number::<u64>("max_mib")?
                    .map_or(default.max_bytes, |mib| mib.saturating_mul(MIB)),
                max_seconds: minutes.map_or(default.max_seconds, |minutes| minutes.saturating_mul(60)),
                cpu_percent: self.form.number("cpu_percent")?.unwrap_or(default.cpu_percent),
            };
            let command = Command::CollectForensics(CollectForensics { profile, limits });
            // It takes long: its bundle and its progress are told as they come.
            let record = self.order(command, self.form.get("reason"), Duration::ZERO).await?;
            let words =
                format!("Command {} collects; the list below shows the bundle when it comes.", record.id);
            Ok(parts(vec![Part::Text(words)]))
        }

        /// What the form asks for; `ticked`: the name of the ticks that count.
        fn processes(&self, ticked: &str, preview: bool) -> Result<Command, ApiError> {
            let target = self.target(ticked)?;
            let (tree, force) = (self.form.is_on("tree"), self.form.is_on("force"));
            Ok(match self.form.get("verb") {
                "kill" => Command::KillProcess(KillProcess {
                    target,
                    grace_seconds: self.form.number("grace_seconds")?.unwrap_or(5),
                    tree,
                    force,
                    preview,
                }),
                "suspend" => Command::SuspendProcess(SuspendProcess { target, tree, force, preview }),
                "resume" => Command::ResumeProcess(ResumeProcess { target, tree, preview }),
                _ => return Err(parse::invalid("verb", "must be kill, suspend or resume")),
            })
        }

        fn target(&self, ticked: &str) -> Result<ProcessTarget, ApiError> {
            let named = self.form.get("target").to_owned();
            // What was reviewed is acted on by number: a name may mean others by now.
            if ticked == "pick" && !named.is_empty() {
                return Ok(match self.form.get("target_kind") {
                    "executable" => ProcessTarget::Executable(named),
                    "sha256" => ProcessTarget::Sha256(named),
                    _ => ProcessTarget::Name(named),
                });
            }
            let processes: Vec<ProcessId> = self.form.all(ticked).filter_map(process_id).collect();
            if processes.is_empty() {
                return Err(parse::invalid("target", "is empty: tick processes in the list, or name some"));
            }
            Ok(ProcessTarget::Processes(processes))
        }

        /// Orders it, and answers with its record: final, if it was so in time.
        async fn order(
            &self,
            command: Command,
            reason: &str,
            within: Duration,
        ) -> Result<CommandRecord, ApiError> {
            let request = Request {
                target: Target::Endpoint(self.endpoint.clone()),
                reason: reason.to_owned(),
                idempotency_key: Some(parse::key(&self.key)?),
                expires_at: None,
            };
            let strike = &self.caller.strike;
            let accepted = strike.order(self.caller.operator()?, command, request, self.now()).await?;
            let permit = self.caller.permit()?;
            Ok(strike.command_when_final(&permit, accepted.command_id, within).await?)
        }
    }

    /// The value of a process's tick.
    fn process_id(value: &str) -> Option<ProcessId> {
        let mut parts = value.splitn(3, ' ');
        Some(ProcessId {
            pid: parts.next()?.parse().ok()?,
            start_ticks: parts.next()?.parse().ok()?,
            boot_id: parts.next()?.to_owned(),
        })
    }

    fn parts(parts: Vec<Part>) -> Sheet {
        Sheet { parts, ..Sheet::default() }
    }

    /// What the host said, drawn by `draw` where there is more than words.
    fn answered(record: &CommandRecord, draw: impl FnOnce(&serde_json::Value) -> Option<Vec<Part>>) -> Sheet {
        let id = record.id;
        let Some(result) = &record.result else {
            let words = if record.status.is_final() {
                format!("Command {id} is {}.", record.status)
            } else {
                format!("The host has not answered yet: command {id} waits for it.")
            };
            return parts(vec![Part::Warning(words)]);
        };
        let message =
            text::of_host(result.get("message").and_then(|message| message.as_str()).unwrap_or_default());
        let drawn = result.get("data").and_then(draw);
        let said = if result.get("success") == Some(&serde_json::Value::Bool(true)) {
            Part::Text(message)
        } else {
            Part::Error(message)
        };
        parts(std::iter::once(said).chain(drawn.into_iter().flatten()).collect())
    }
}
