//! The list of endpoints, and orders to many of them.

use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{
        bulk::{BulkOrder, Choice, Excluded, Resolved},
        fleet::{Counts, FleetPage, LoadLine, SavedView},
        order::Sent,
    },
};

/// A page of the list. `query`: of the page's address; what of it is not understood is left out.
#[server(prefix = "/rpc", endpoint = "endpoints", protocol = Rpc)]
pub async fn endpoints(query: String) -> Result<FleetPage, ApiError> {
    super::caller::answer(ssr::endpoints(&query).await)
}

/// What the fleet looks like, and what the filters would leave.
#[server(prefix = "/rpc", endpoint = "count_endpoints", protocol = Rpc)]
pub async fn count_endpoints(query: String) -> Result<Counts, ApiError> {
    super::caller::answer(ssr::counts(&query).await)
}

/// The load of these endpoints over the last hour.
#[server(prefix = "/rpc", endpoint = "loads", protocol = Rpc)]
pub async fn loads(endpoint_ids: Vec<String>) -> Result<Vec<LoadLine>, ApiError> {
    super::caller::answer(ssr::loads(endpoint_ids).await)
}

/// How many hosts a choice comes to now, and how many of them are away.
#[server(prefix = "/rpc", endpoint = "resolve_choice", protocol = Rpc)]
pub async fn resolve_choice(choice: Choice) -> Result<Resolved, ApiError> {
    super::caller::answer(ssr::resolve(choice).await)
}

/// Orders the same of all that are chosen but for those left out, in one batch. `confirmed`: how many hosts the operator has
/// seen; more than these are refused. `form`: the fields of the dialog as a browser encodes them.
#[server(name = SendBulk, prefix = "/rpc", endpoint = "bulk_order", protocol = Rpc)]
pub async fn bulk_order(
    order: BulkOrder,
    choice: Choice,
    excluded: Vec<Excluded>,
    confirmed: i64,
    form: String,
    idempotency_key: String,
) -> Result<Sent, ApiError> {
    super::caller::answer(ssr::bulk(order, choice, excluded, confirmed, &form, &idempotency_key).await)
}

/// The operator's own saved views and what others share.
#[server(prefix = "/rpc", endpoint = "saved_views", protocol = Rpc)]
pub async fn saved_views() -> Result<Vec<SavedView>, ApiError> {
    super::caller::answer(ssr::saved_views().await)
}

/// Keeps the query of the list under a name; answers as [`saved_views`].
#[server(prefix = "/rpc", endpoint = "save_view", protocol = Rpc)]
pub async fn save_view(name: String, query: String, is_shared: bool) -> Result<Vec<SavedView>, ApiError> {
    super::caller::answer(ssr::save_view(&name, &query, is_shared).await)
}

#[server(prefix = "/rpc", endpoint = "delete_view", protocol = Rpc)]
pub async fn delete_view(id: String) -> Result<Vec<SavedView>, ApiError> {
    super::caller::answer(ssr::delete_view(&id).await)
}

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::strike::{
        BatchRequest,
        fleet::{Chosen, Exclusion, FleetOrder},
    };
    use voltaxe_protocol::{CollectForensics, Command, EvidenceLimits, ForensicsProfile};

    use super::{
        super::{
            caller::Caller,
            orders::isolate,
            parse::{self, Form},
        },
        ApiError, BulkOrder, Choice, Counts, Excluded, FleetPage, LoadLine, Resolved, SavedView, Sent,
    };
    use crate::model::{Order, endpoint_query::EndpointQuery, fleet::FleetRow};

    pub async fn endpoints(query: &str) -> Result<FleetPage, ApiError> {
        let caller = Caller::expect()?;
        let permit = caller.permit()?;
        let (query, _) = EndpointQuery::read(query);
        let page = match caller.strike.list_endpoints(&permit, &query.list(None), caller.now).await {
            // An old address still shows the list.
            Err(voltaxe_orchestrator::StrikeError::Invalid { field: "cursor", .. }) => {
                let list = query.from_start().list(None);
                caller.strike.list_endpoints(&permit, &list, caller.now).await?
            }
            other => other?,
        };
        let counts = caller.strike.count_fleet(&permit, &query.search(), caller.now).await?;
        Ok(FleetPage {
            rows: page.rows.iter().map(FleetRow::from).collect(),
            next: page.next,
            previous: page.previous,
            counts: (&counts).into(),
        })
    }

    pub async fn counts(query: &str) -> Result<Counts, ApiError> {
        let caller = Caller::expect()?;
        let (query, _) = EndpointQuery::read(query);
        Ok((&caller.strike.count_fleet(&caller.permit()?, &query.search(), caller.now).await?).into())
    }

    pub async fn loads(endpoint_ids: Vec<String>) -> Result<Vec<LoadLine>, ApiError> {
        let caller = Caller::expect()?;
        let ids = parse::endpoint_ids(endpoint_ids)?;
        let loads = caller.strike.loads(&caller.permit()?, &ids, caller.now).await?;
        Ok(loads.into_iter().map(|(endpoint_id, parts)| LoadLine { endpoint_id, parts }).collect())
    }

    fn chosen(choice: Choice) -> Result<Chosen, ApiError> {
        match choice {
            Choice::Hosts(ids) => Ok(Chosen::Endpoints(parse::endpoint_ids(ids)?)),
            // A filter that is left out would choose more than what the page shows.
            Choice::Matching(query) => match EndpointQuery::read(&query) {
                (query, None) => Ok(Chosen::Matching(query.search())),
                (_, Some(unclear)) => Err(parse::invalid(&unclear.field, &unclear.problem)),
            },
        }
    }

    pub async fn resolve(choice: Choice) -> Result<Resolved, ApiError> {
        let caller = Caller::expect()?;
        let permit = caller.permit()?;
        Ok(caller.strike.resolve_chosen(&permit, chosen(choice)?, caller.now).await?.into())
    }

    pub async fn bulk(
        order: BulkOrder,
        choice: Choice,
        excluded: Vec<Excluded>,
        confirmed: i64,
        form: &str,
        idempotency_key: &str,
    ) -> Result<Sent, ApiError> {
        let caller = Caller::expect()?;
        let (operator, form) = (caller.operator()?, Form::of(form));
        let command = match order {
            BulkOrder::Isolate => Command::NetworkIsolate(isolate(&form, caller.now)?),
            BulkOrder::Restore => Order::Restore.into(),
            BulkOrder::Check => Order::Check.into(),
            BulkOrder::Collect => Command::CollectForensics(CollectForensics {
                profile: match form.get("profile") {
                    "standard" => ForensicsProfile::Standard,
                    "full" => ForensicsProfile::Full,
                    _ => ForensicsProfile::Quick,
                },
                limits: EvidenceLimits::default(),
            }),
        };
        let exclusion = |one: Excluded| Exclusion { hostname: one.hostname, reason: one.reason };
        let order = FleetOrder {
            request: BatchRequest {
                command,
                hostnames: Vec::new(),
                endpoint_ids: Vec::new(),
                reason: form.get("reason").to_owned(),
                expires_at: None,
                idempotency_key: Some(parse::key(idempotency_key)?),
            },
            chosen: chosen(choice)?,
            excluded: excluded.into_iter().map(exclusion).collect(),
            confirmed: usize::try_from(confirmed).unwrap_or(0),
        };
        if let Some(at) = parse::utc("not_before", form.get("not_before"))? {
            if !form.get("auto_restore_after_seconds").is_empty() {
                return Err(parse::invalid(
                    "auto_restore_after_seconds",
                    "does not go with a later start; schedule the release as well",
                ));
            }
            let made = caller.strike.schedule_fleet(operator, order, at, caller.now).await?;
            return Ok(Sent::Schedule(made.id.to_string()));
        }
        let batch = caller.strike.order_fleet(operator, order, caller.now).await?;
        Ok(Sent::Batch(batch.id.to_string()))
    }

    pub async fn saved_views() -> Result<Vec<SavedView>, ApiError> {
        let caller = Caller::expect()?;
        let permit = caller.permit()?;
        let views = caller.strike.saved_views(&permit).await?;
        let name = &permit.operator().username;
        Ok(views.iter().map(|view| SavedView::of(view, name)).collect())
    }

    pub async fn save_view(name: &str, query: &str, is_shared: bool) -> Result<Vec<SavedView>, ApiError> {
        let caller = Caller::expect()?;
        let (query, _) = EndpointQuery::read(query);
        let query = query.from_start().text();
        caller.strike.save_view(&caller.permit()?, name, &query, is_shared, caller.now).await?;
        saved_views().await
    }

    pub async fn delete_view(id: &str) -> Result<Vec<SavedView>, ApiError> {
        let caller = Caller::expect()?;
        let id = id.parse().map_err(|_| ApiError::NotFound)?;
        caller.strike.delete_view(&caller.permit()?, id).await?;
        saved_views().await
    }
}
