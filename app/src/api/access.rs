use voltaxe_orchestrator::authority::Action;

/// Who may call a server function at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    Public,
    SignedIn,
    Action(Action),
}

/// Every server function of the dashboard. One that is not here is refused.
pub const SERVER_FUNCTIONS: &[(&str, Access)] = &[
    ("/rpc/sign_in", Access::Public),
    ("/rpc/complete_setup", Access::Public),
    ("/rpc/sign_out", Access::SignedIn),
    ("/rpc/session", Access::SignedIn),
    ("/rpc/endpoints", Access::Action(Action::View)),
    ("/rpc/endpoint", Access::Action(Action::View)),
    ("/rpc/commands", Access::Action(Action::View)),
    // The least of what may be ordered; the orchestrator asks for the order's own.
    ("/rpc/order", Access::Action(Action::CheckAgent)),
    ("/rpc/respond", Access::Action(Action::CheckAgent)),
    // What runs on hosts and what was collected from them has roles of its own, which the orchestrator asks for.
    ("/rpc/sheet", Access::Action(Action::View)),
    ("/rpc/cancel_command", Access::Action(Action::CancelCommand)),
    ("/rpc/batches", Access::Action(Action::View)),
    ("/rpc/batch", Access::Action(Action::View)),
    ("/rpc/batch_progress", Access::Action(Action::View)),
    ("/rpc/cancel_batch", Access::Action(Action::CancelCommand)),
    ("/rpc/undo_batch", Access::Action(Action::Restore)),
    ("/rpc/schedules", Access::Action(Action::View)),
    ("/rpc/older_schedules", Access::Action(Action::View)),
    ("/rpc/create_schedule", Access::Action(Action::CheckAgent)),
    ("/rpc/cancel_schedule", Access::Action(Action::CancelCommand)),
    ("/rpc/rollback_of", Access::Action(Action::View)),
    ("/rpc/extend_rollback", Access::Action(Action::Isolate)),
    ("/rpc/api_tokens", Access::Action(Action::ManageApiTokens)),
    ("/rpc/create_api_token", Access::Action(Action::ManageApiTokens)),
    ("/rpc/revoke_api_token", Access::Action(Action::ManageApiTokens)),
    ("/rpc/create_enrolment_token", Access::Action(Action::CreateEnrolmentToken)),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use leptos::server_fn::axum::server_fn_paths;

    use super::*;

    #[test]
    fn the_table_names_every_server_function() {
        let registered: BTreeSet<_> = server_fn_paths().map(|(path, _)| path).collect();
        let listed: BTreeSet<_> = SERVER_FUNCTIONS.iter().map(|(path, _)| *path).collect();
        assert_eq!(registered, listed);
    }

    #[test]
    fn every_server_function_is_called_by_post() {
        for (path, method) in server_fn_paths() {
            assert_eq!(method, axum::http::Method::POST, "{path}");
        }
    }
}
