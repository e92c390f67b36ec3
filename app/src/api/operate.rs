use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Secret, Sheet},
};

/// What the forms on the pages of records ask for. `form`: as a browser encodes it, with passwords; its field `action` says
/// what is asked.
#[server(prefix = "/rpc", endpoint = "operate", protocol = Rpc)]
pub async fn operate(form: Secret) -> Result<Sheet, ApiError> {
    super::caller::answer(ssr::operate(&form).await)
}

#[cfg(feature = "ssr")]
mod ssr {
    use secrecy::SecretString;
    use uuid::Uuid;
    use voltaxe_orchestrator::{
        authority::{OperatorId, Role},
        evidence::Visit,
    };
    use voltaxe_protocol::CommandId;

    use super::{
        super::{
            caller::Caller,
            parse::{self, Form},
        },
        ApiError, Secret, Sheet,
    };
    use crate::model::sheet::Part;

    pub async fn operate(form: &Secret) -> Result<Sheet, ApiError> {
        let asked = Asked { caller: Caller::expect()?, form: Form::of(&form.0) };
        let said = match asked.form.get("action") {
            "change_password" => asked.change_password().await,
            "end_session" => asked.end_sessions(true).await,
            "end_sessions" => asked.end_sessions(false).await,
            "create_operator" => asked.create_operator().await,
            "set_role" => asked.set_role().await,
            "disable_operator" => asked.set_disabled(true).await,
            "enable_operator" => asked.set_disabled(false).await,
            "reset_password" => asked.reset_password().await,
            "set_rate_limit" => asked.set_rate_limit().await,
            "remove_rate_limit" => asked.remove_rate_limit().await,
            "cancel_command" => asked.cancel_command().await,
            "discard_evidence" => asked.discard_evidence().await,
            _ => Err(parse::invalid("action", "is not known")),
        };
        Ok(Sheet { parts: vec![Part::Text(said?)], ..Sheet::default() })
    }

    struct Asked {
        caller: Caller,
        form: Form,
    }

    impl Asked {
        fn id<T: std::str::FromStr>(&self, name: &str) -> Result<T, ApiError> {
            self.form.get(name).parse().map_err(|_| ApiError::NotFound)
        }

        fn operator_id(&self) -> Result<OperatorId, ApiError> {
            self.id("id").map(OperatorId)
        }

        fn role(&self) -> Result<Role, ApiError> {
            let role = self.form.get("role");
            role.parse().map_err(|_| parse::invalid("role", "must be viewer, responder or admin"))
        }

        /// That was typed twice.
        fn new_password(&self) -> Result<SecretString, ApiError> {
            let password = self.form.raw("password");
            if password != self.form.raw("password_again") {
                return Err(parse::invalid("password_again", "is not the same; type it twice"));
            }
            Ok(password.into())
        }

        async fn change_password(&self) -> Result<String, ApiError> {
            let Caller { operators, session, client, now, .. } = &self.caller;
            let own = session.as_ref().ok_or(ApiError::SignedOut)?;
            let (old, new) = (self.form.raw("old_password").into(), self.new_password()?);
            operators.change_password(self.caller.operator()?, own, old, new, *client, *now).await?;
            Ok("Your password is changed. Your other sessions have ended.".to_owned())
        }

        async fn end_sessions(&self, only_one: bool) -> Result<String, ApiError> {
            let Caller { operators, session: own, now, .. } = &self.caller;
            let session: Option<Uuid> = if only_one { Some(self.id("session")?) } else { None };
            let ended = if self.form.get("id").is_empty() {
                let operator = self.caller.operator()?;
                operators.revoke_own_sessions(operator, session, own.as_ref(), *now).await?
            } else {
                let (permit, id) = (self.caller.permit()?, self.operator_id()?);
                operators.revoke_sessions(&permit, id, session, own.as_ref(), *now).await?
            };
            Ok(match ended {
                0 => "No session was open.".to_owned(),
                1 => "The session has ended.".to_owned(),
                ended => format!("{ended} sessions have ended."),
            })
        }

        async fn create_operator(&self) -> Result<String, ApiError> {
            let Caller { operators, now, .. } = &self.caller;
            let (permit, name) = (self.caller.permit()?, self.form.get("username").to_lowercase());
            operators.create(&permit, &name, self.role()?, self.new_password()?, *now).await?;
            Ok(format!("{name} can sign in now. Tell them the password in person."))
        }

        async fn set_role(&self) -> Result<String, ApiError> {
            let (permit, id, role) = (self.caller.permit()?, self.operator_id()?, self.role()?);
            self.caller.operators.set_role(&permit, id, role, self.caller.now).await?;
            Ok(format!("The role is {role} now."))
        }

        async fn set_disabled(&self, disabled: bool) -> Result<String, ApiError> {
            let (permit, id) = (self.caller.permit()?, self.operator_id()?);
            self.caller.operators.set_disabled(&permit, id, disabled, self.caller.now).await?;
            let said = if disabled { "Disabled. Their sessions have ended." } else { "Enabled." };
            Ok(said.to_owned())
        }

        async fn reset_password(&self) -> Result<String, ApiError> {
            let (permit, id) = (self.caller.permit()?, self.operator_id()?);
            self.caller.operators.reset_password(&permit, id, self.new_password()?, self.caller.now).await?;
            Ok("The password is set. Their sessions have ended.".to_owned())
        }

        async fn set_rate_limit(&self) -> Result<String, ApiError> {
            let permit = self.caller.permit()?;
            let (kind, per_minute) = (self.form.get("kind"), self.form.number("per_minute")?);
            let missing = |field| parse::invalid(field, "is empty");
            let per_minute = per_minute.ok_or_else(|| missing("per_minute"))?;
            let burst = self.form.number("burst")?.ok_or_else(|| missing("burst"))?;
            self.caller.strike.set_rate_limit(&permit, kind, per_minute, burst, self.caller.now).await?;
            Ok("The limit is set.".to_owned())
        }

        async fn remove_rate_limit(&self) -> Result<String, ApiError> {
            let permit = self.caller.permit()?;
            self.caller.strike.remove_rate_limit(&permit, self.form.get("kind"), self.caller.now).await?;
            Ok("The limit is gone.".to_owned())
        }

        async fn cancel_command(&self) -> Result<String, ApiError> {
            let (permit, id) = (self.caller.permit()?, CommandId(self.id("id")?));
            let record = self.caller.strike.cancel(&permit, id, self.caller.now).await?;
            Ok(if record.status.is_final() {
                format!("Command {id} is cancelled.")
            } else {
                format!("The host is asked to give command {id} back.")
            })
        }

        async fn discard_evidence(&self) -> Result<String, ApiError> {
            let (permit, id) = (self.caller.permit()?, CommandId(self.id("id")?));
            let visit = Visit { from: Some(self.caller.client), at: self.caller.now };
            self.caller.strike.discard_evidence(&permit, id, self.form.get("reason"), visit).await?;
            Ok(format!("The bundle of command {id} is discarded."))
        }
    }
}
