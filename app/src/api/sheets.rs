//! The sheets that pages draw, from what the orchestrator knows and what hosts said.

pub(super) mod evidence;
mod json;
pub(super) mod outcome;
pub(super) mod preview;
pub(super) mod processes;
pub(crate) mod text;

use voltaxe_orchestrator::authority::may;

use super::caller::Caller;
use crate::{
    error::ApiError,
    model::{Sheet, SheetOf},
};

pub(super) async fn sheet(of: SheetOf) -> Result<Sheet, ApiError> {
    let caller = Caller::expect()?;
    match of {
        SheetOf::Processes(id) => {
            caller.permit::<may::ListProcesses>()?;
            of_endpoint(&caller, &id, "Processes of").await
        }
        SheetOf::EvidenceList(id) => {
            let mut sheet = of_endpoint(&caller, &id, "Evidence from").await?;
            sheet.parts = evidence::list(&caller, &id).await?;
            Ok(sheet)
        }
        SheetOf::Evidence(id, query) => evidence::bundle(&caller, &id, &query).await,
    }
}

async fn of_endpoint(caller: &Caller, id: &str, what: &str) -> Result<Sheet, ApiError> {
    let endpoint = id.parse().map_err(|_| ApiError::NotFound)?;
    let permit = caller.permit()?;
    let view = caller.strike.endpoint(&permit, &endpoint, caller.now).await?.ok_or(ApiError::NotFound)?;
    let hostname = view.record.hostname;
    Ok(Sheet {
        title: format!("{what} {hostname}"),
        back: Some((format!("/endpoints/{id}"), hostname)),
        endpoint_id: id.to_owned(),
        parts: Vec::new(),
    })
}
